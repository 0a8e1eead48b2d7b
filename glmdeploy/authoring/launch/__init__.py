"""An existing launch of SGLang becomes a profile. Nothing that is read is ever executed.

:func:`import_script` goes the whole way. A file of another kind is recognised and read in ``authoring.formats``. A
shell text becomes words (:mod:`words`) and commands (:mod:`shell`), with values for variables (:mod:`variables`), of
which some launch SGLang (:mod:`find`); or the text is a configuration file of SGLang's (:mod:`config`). One launch
(:mod:`launch`) is placed in a profile's sections (:mod:`place`), written as YAML and checked like any other profile
(:mod:`imported`). What is refused there is told where it stands in the imported text. Values of secrets are dropped.
"""
