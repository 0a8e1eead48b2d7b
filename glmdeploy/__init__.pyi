from glmdeploy.api import Applied as Applied
from glmdeploy.api import apply as apply
from glmdeploy.api import check as check
from glmdeploy.api import destroy as destroy
from glmdeploy.api import load as load
from glmdeploy.api import make_plan as make_plan
from glmdeploy.api import preview as preview
from glmdeploy.api import rollback as rollback
from glmdeploy.api import status as status
from glmdeploy.api import verify as verify
from glmdeploy.errors import DeployError as DeployError
from glmdeploy.errors import GlmdeployError as GlmdeployError
from glmdeploy.errors import ProfileError as ProfileError

__version__: str
