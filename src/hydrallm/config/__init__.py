"""The config: its form, how it is read and checked, and what the rest of the package sees of it.

::

    load.py          the door: load(path, environ) -> Settings
    check.py         a document -> Settings, or everything that is wrong with it
    schema.py        the form of the file: every table and key, its kind, default and help
    values.py        the kinds of values; quantities.py: durations and sizes
    reader.py        the tables of a document -> the structs of the schema
    api.py           in which API a model is asked; chains.py: which models a chain means
    findings.py      problems and warnings, collected; spelling.py: did you mean
    assembly.py      the structs of the schema -> Settings
    settings.py      the internal model
    facts.py         what is known of models, from data/models.toml
    template.toml    what `hydrallm edit` starts from; showcases/: what `hydrallm init` writes; catalog.py reads both
    starter.py       a config composed from the keys in the environment
    storage.py       writing a config file: private and whole
"""
