"""``glmdeploy import``: an existing launch of SGLang becomes a profile. Nothing that is read is ever executed.

A shell text (:mod:`script`) or a configuration file of SGLang's (:mod:`config`) becomes a record of one launch
(:mod:`record`); that is placed in a profile's sections (:mod:`place`), written as YAML (:mod:`emit`) and checked like
any other profile. What is refused there is told where it stands in the imported text. Values of secrets are dropped.
"""

from glmdeploy.authoring.launch.imported import Imported, import_script
from glmdeploy.authoring.launch.script import Script, decode
from glmdeploy.authoring.launch.wanted import Wanted

__all__ = ["Imported", "Script", "Wanted", "decode", "import_script"]
