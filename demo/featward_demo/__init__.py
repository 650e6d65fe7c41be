"""A whole featward on one machine, with a real Feast behind it: for the demo and for tests.

It stands apart from the components because it may not import them: it starts the ``featward``
command as anyone would and looks at what comes back.
"""
