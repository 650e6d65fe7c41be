"""How a pod gets its sidecar: pure functions from the pod as it was sent to the patch that is answered.

`facts` reads what matters, `decide` says whether and why, `render` makes what is added, `patch` says how, and
`explain` puts it into words; only the webhook around them knows of a network. Nothing of the pod is parsed into
a model and written back, so what is not ours can't be changed, not even fields that nobody here has heard of.
"""
