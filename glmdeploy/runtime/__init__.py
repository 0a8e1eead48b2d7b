"""The container side: standard library plus ``modal`` (and ``huggingface_hub`` in the download stage), nothing else.

These files, ``glmdeploy/__init__.py`` and ``plan.json`` are all that a container gets of glmdeploy; ``render`` writes
the same functions into its script. No module here may import another part of the package.
"""
