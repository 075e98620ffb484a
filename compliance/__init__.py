"""The compliance guard: may this charge, this transfer, this payout happen?"""
