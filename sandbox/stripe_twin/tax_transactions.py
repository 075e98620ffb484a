"""Tax transactions: a calculation that came true, or its reversal, for the tax reports."""

from sandbox.stripe_twin.call import Call, merge_metadata
from sandbox.stripe_twin.checks import check_choice
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.store import JsonObject
from sandbox.stripe_twin.tax_calculations import current_calculation, lines_page

_MODES = frozenset({"full", "partial"})


def create_from_calculation(call: Call) -> JsonObject:
    """POST /v1/tax/transactions/create_from_calculation; once for each calculation."""
    params = call.params
    calculation = current_calculation(call, params["calculation"], "calculation", 400)
    _check_reference(call)
    for other in call.objects("tax.transaction"):
        if call.account.tax_sources[other["id"]] == calculation["id"]:
            raise invalid_request(
                f"The calculation {calculation['id']} already has the transaction {other['id']}.",
                param="calculation",
            )
    transaction = _new_transaction(call, calculation, "transaction")
    transaction["shipping_cost"] = _shipping(calculation["shipping_cost"], 1)
    call.account.tax_sources[transaction["id"]] = calculation["id"]
    call.account.tax_lines[transaction["id"]] = [
        _line(call, line, 1, None) for line in call.account.tax_lines[calculation["id"]]
    ]
    return call.objects("tax.transaction").add(transaction)


def create_reversal(call: Call) -> JsonObject:
    """POST /v1/tax/transactions/create_reversal, of all or of the given line items."""
    params = call.params
    check_choice(params, "mode", _MODES)
    original = call.objects("tax.transaction").get(
        params["original_transaction"], "original_transaction", 400
    )
    if original["type"] != "transaction":
        raise invalid_request("A reversal cannot be reversed.", param="original_transaction")
    _check_reference(call)
    lines = {line["id"]: line for line in call.account.tax_lines[original["id"]]}
    reversal = _new_transaction(call, original, "reversal")
    reversal["reversal"] = {"original_transaction": original["id"]}
    if params["mode"] == "full":
        reversed_lines = [_line(call, line, -1, line["id"]) for line in lines.values()]
        reversal["shipping_cost"] = _shipping(original["shipping_cost"], -1)
    else:
        reversed_lines = [_partial(call, given, lines) for given in params.get("line_items", [])]
        if not reversed_lines:
            raise invalid_request("A partial reversal needs line items.", param="line_items")
    call.account.tax_lines[reversal["id"]] = reversed_lines
    call.account.tax_sources[reversal["id"]] = original["id"]
    return call.objects("tax.transaction").add(reversal)


def retrieve_transaction(call: Call) -> JsonObject:
    """GET /v1/tax/transactions/{transaction}."""
    return call.objects("tax.transaction").get(call.path["transaction"], "transaction")


def list_transaction_lines(call: Call) -> JsonObject:
    """GET /v1/tax/transactions/{transaction}/line_items."""
    transaction = retrieve_transaction(call)
    url = f"/v1/tax/transactions/{transaction['id']}/line_items"
    return lines_page(url, call.account.tax_lines[transaction["id"]], call.params)


def _check_reference(call: Call) -> None:
    reference = call.params["reference"]
    if any(item["reference"] == reference for item in call.objects("tax.transaction")):
        raise invalid_request(
            f"There is already a transaction with the reference {reference}.", param="reference"
        )


def _new_transaction(call: Call, source: JsonObject, kind: str) -> JsonObject:
    now = call.account.now()
    transaction: JsonObject = {
        "id": call.account.new_id("tax"),
        "object": "tax.transaction",
        "created": now,
        "currency": source["currency"],
        "customer": source["customer"],
        "customer_details": source["customer_details"],
        "livemode": False,
        "metadata": {},
        "posted_at": call.params.get("posted_at", now),
        "reference": call.params["reference"],
        "reversal": None,
        "ship_from_details": source["ship_from_details"],
        "shipping_cost": None,
        "tax_date": source["tax_date"],
        "type": kind,
    }
    merge_metadata(transaction, call.params.get("metadata"))
    return transaction


def _line(call: Call, line: JsonObject, sign: int, original: str | None) -> JsonObject:
    return {
        "id": call.account.new_id("tax_li"),
        "object": "tax.transaction_line_item",
        "amount": sign * line["amount"],
        "amount_tax": sign * line["amount_tax"],
        "livemode": False,
        "metadata": line["metadata"],
        "product": line["product"],
        "quantity": line["quantity"],
        "reference": line["reference"],
        "reversal": {"original_line_item": original} if original else None,
        "tax_behavior": line["tax_behavior"],
        "tax_code": line["tax_code"],
        "type": "reversal" if original else "transaction",
    }


def _partial(call: Call, given: JsonObject, lines: dict[str, JsonObject]) -> JsonObject:
    original = lines.get(given["original_line_item"])
    if original is None:
        raise invalid_request(
            f"No such line item: '{given['original_line_item']}'",
            code="resource_missing",
            param="line_items",
        )
    if given["amount"] > 0 or -given["amount"] > original["amount"]:
        raise invalid_request(
            "The amount of a reversal is negative and no more than was sold.", param="line_items"
        )
    changed = {
        "amount": given["amount"],
        "amount_tax": given["amount_tax"],
        "reference": given["reference"],
    }
    return {**_line(call, original, 1, original["id"]), **changed}


def _shipping(cost: JsonObject | None, sign: int) -> JsonObject | None:
    if cost is None:
        return None
    amounts = {"amount": sign * cost["amount"], "amount_tax": sign * cost["amount_tax"]}
    kept = {name: cost[name] for name in ("tax_behavior", "tax_code")}
    return {**amounts, **kept}
