"""The webhook's own certificate: an authority in a Secret, a leaf in the memory of every replica.

While one authority follows another the API server trusts both, in three steps with time between them: announce,
use, forget. `overlap` decides and knows no clock and no network; `keeper` does what it says.
"""
