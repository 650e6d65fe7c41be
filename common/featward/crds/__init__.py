"""The CustomResourceDefinitions of featward's kinds, made from the models that files are read by.

An API server is told the same grammar, bounds and rules, so that it refuses what `featward check` refuses in
one document. `python -m featward.crds DIR` writes them as YAML.
"""

from featward.crds.definitions import GROUP, VERSION, Names, definition, names_of

__all__ = ["GROUP", "VERSION", "Names", "definition", "names_of"]
