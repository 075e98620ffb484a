"""What every service of the engine shares: an exact amount of one currency on the wire, `money.v1`,
and the list of currencies.
"""
