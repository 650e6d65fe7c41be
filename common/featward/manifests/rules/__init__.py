"""What documents must be to one another. Each rule looks at one document in its catalogue and yields findings,
in any order, so that an edit in a cluster costs the documents that it touches and no others.
"""
