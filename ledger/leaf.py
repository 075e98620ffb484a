"""Leaves of the Merkle log: each transaction as one line of canonical JSON.

The text is what RFC 8785 makes of the transaction, so that anyone can rebuild and hash it. All
numbers are decimal strings, because JSON's own are not exact beyond 2^53. docs/proofs.md has the
schema; runtime.merkle hashes them.
"""

import json
from collections.abc import Mapping
from functools import lru_cache

from ledger.accounts import Effect, Side
from ledger.commands import Record
from ledger.exchange import Exchange
from ledger.times import text_of

_time = lru_cache(maxsize=1024)(text_of)
_MOVES = {
    (side, effect): f'"direction":"{side.name}","effect":"{effect.name}"'
    for side in Side
    for effect in Effect
}


def leaf_of(ledger: str, record: Record) -> bytes:
    """The leaf of a transaction; keys in order of their UTF-16 code units, no white space."""
    (
        sequence,
        kind,
        request_id,
        _,
        reference,
        entries,
        record_us,
        effective_us,
        expire_us,
        settles,
        reverses,
        notes,
    ) = record
    record_time = _time(record_us)
    descriptions = notes.descriptions if notes is not None else ()
    # Names, currencies and ids have no character that JSON escapes: validation sees to it.
    texts = [
        f'{{"account":"{account.name}","amount":"{amount}","currency":"{account.currency}",'
        f"{_description(descriptions[index]) if descriptions else ''}{_MOVES[side, effect]},"
        f'"pending_credits":"{pending_credits}","pending_debits":"{pending_debits}",'
        f'"posted_credits":"{posted_credits}","posted_debits":"{posted_debits}",'
        f'{"" if source is None else _source(source)}"version":"{version}"}}'
        for index, (
            account,
            side,
            effect,
            amount,
            source,
            posted_debits,
            posted_credits,
            pending_debits,
            pending_credits,
            version,
        ) in enumerate(entries)
    ]
    return (
        f'{{"effective_time":"{record_time if effective_us is None else _time(effective_us)}",'
        f'"entries":[{",".join(texts)}],'
        f"{_exchanges(notes.exchanges) if notes is not None and notes.exchanges else ''}"
        f"{'' if expire_us is None else _expiry(expire_us)}"
        f'"kind":"{kind.name}","ledger":"{ledger}",'
        f"{_metadata(notes.metadata) if notes is not None and notes.metadata else ''}"
        f'"record_time":"{record_time}",'
        f"{_reference(reference) if reference else ''}"
        f"{_request_id(request_id) if request_id else ''}"
        f"{'' if reverses is None else _reverses(reverses)}"
        f'"sequence":"{sequence}"{"" if settles is None else _settles(settles)}}}'
    ).encode()


def canonical(text: str) -> str:
    """A JSON string as RFC 8785, section 3.2.2.2, writes it."""
    return json.dumps(text, ensure_ascii=False)


def utf16(key: str) -> bytes:
    """What RFC 8785, section 3.2.3, orders keys by."""
    return key.encode("utf-16-be")


def _description(description: str) -> str:
    return f'"description":{canonical(description)},' if description else ""


def _source(index: int) -> str:
    return f'"source_entry":"{index}",'


def _expiry(expire_us: int) -> str:
    return f'"expire_time":"{_time(expire_us)}",'


def _metadata(metadata: Mapping[str, str]) -> str:
    pairs = [f"{canonical(key)}:{canonical(metadata[key])}" for key in sorted(metadata, key=utf16)]
    return f'"metadata":{{{",".join(pairs)}}},'


def _reference(reference: str) -> str:
    return f'"reference":{canonical(reference)},'


def _request_id(request_id: str) -> str:
    return f'"request_id":"{request_id}",'


def _reverses(sequence: int) -> str:
    return f'"reverses":"{sequence}",'


def _settles(sequence: int) -> str:
    return f',"settles":"{sequence}"'


def _exchanges(exchanges: "tuple[Exchange, ...]") -> str:
    texts = [
        f'{{"bought":{_money(exchange.bought_minor, exchange.bought_currency)},'
        f'"rate":"{exchange.rate}",'
        + (
            f'"remainder_account":"{exchange.remainder_account}",'
            if exchange.remainder_account
            else ""
        )
        + f'"sold":{_money(exchange.sold_minor, exchange.sold_currency)}}}'
        for exchange in exchanges
    ]
    return f'"exchanges":[{",".join(texts)}],'


def _money(amount: int, currency: str) -> str:
    return f'{{"amount":"{amount}","currency":"{currency}"}}'
