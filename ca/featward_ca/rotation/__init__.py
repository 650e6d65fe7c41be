"""How one authority replaces another: first as pure rules over what is known, then carried out.

`states` is the table of what may become of an authority, `known` the facts, and `gates` say what a
step has to wait for. None of them touches the store, a key or a clock.
"""
