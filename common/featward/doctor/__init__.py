"""`featward doctor`: looks at an endpoint or a socket from outside, as a client of it would, and says what a
verifier would refuse.

It sees no more than any client does and changes nothing. What it finds comes from the far end, so every
size, count and wait is bounded, and no text of the far end is printed as it is.
"""
