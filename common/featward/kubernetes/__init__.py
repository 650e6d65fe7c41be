"""How featward speaks to API servers: one gateway, and loops on raw JSON that know when to wait.

Transport and login are the `kubernetes` package's, whose aio half `gateway` alone imports. Its own watch,
informer and elector have no back-off and no idle time-out, so reflector, queue and elector are ours. Nothing
here knows a kind of featward's beyond its path. Needs the extra `kubernetes`; commands that talk to no API
server must not import it, as it costs 20 MB and half a second.
"""
