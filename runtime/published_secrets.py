"""Every secret that this repository publishes, or once did: whoever reads it has them.

They open what runs on one machine: the compose file's parts and the Stripe twin's accounts.
`ENV=production` takes none of them. `tests/deploy/test_published_secrets.py` finds those that are
missing here.
"""

PUBLISHED_SECRETS = frozenset(
    {
        # The compose file's passwords and signing key, until it had them made at random.
        "development",
        "PRIVATE+KEY+ledger.development+de3273ec+ASHD87YGxLzq97/2y5Chv+kkdv/4GFqi8Zn9J0i4zhGo",
        # An example of Go's, which the tests use.
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
        # The Stripe twin's accounts.
        "sk_test_twin_default",
        "sk_test_twin_backup",
        "sk_test_twin_europe",
        "sk_test_twin_japan",
        "whsec_twin_default",
        "whsec_twin_backup",
        "whsec_twin_europe",
        "whsec_twin_japan",
    }
)
