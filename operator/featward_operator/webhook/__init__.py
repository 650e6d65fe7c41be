"""The admission webhook: the API server's questions in, the pure functions of `injection` asked, answers out.

It runs on every replica, with a certificate of its own from `certificates`. It promises that asking changes
nothing, so a dry run is answered like any other request.
"""
