"""Tax calculations, and the transactions made of them: https://docs.stripe.com/tax/custom

A standard rate per country, for places where the account has an active registration; product
exemptions, reduced rates and rules of a state's cities are not modelled. A transaction is a
calculation that came true, or its reversal, for the tax reports.
"""

from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.errors import check_choice, invalid_request
from sandbox.stripe_twin.store import JsonObject, page_limit
from sandbox.stripe_twin.tax import TaxRate

LIFETIME_SECONDS = 90 * 24 * 60 * 60
MAX_LINE_ITEMS = 100
DEFAULT_TAX_CODE = "txcd_10000000"
SHIPPING_TAX_CODE = "txcd_92010001"


def create_calculation(call: Call) -> JsonObject:
    """POST /v1/tax/calculations: what tax is due on some line items."""
    params = call.params
    if not 1 <= len(params["line_items"]) <= MAX_LINE_ITEMS:
        raise invalid_request(
            f"A calculation has between 1 and {MAX_LINE_ITEMS} line items.", param="line_items"
        )
    details = _customer_details(call)
    rate = TaxRate.applying(call.account, details)
    lines = [
        _line_item(call.account, item, number, rate)
        for number, item in enumerate(params["line_items"], start=1)
    ]
    shipping = _shipping(params.get("shipping_cost"), rate)
    parts = [*lines, *([shipping] if shipping else [])]
    exclusive, inclusive = (
        sum(part["amount_tax"] for part in parts if part["tax_behavior"] == behavior)
        for behavior in ("exclusive", "inclusive")
    )
    now = call.account.now()
    calculation_id = call.account.new_id("taxcalc")
    calculation: JsonObject = {
        "id": calculation_id,
        "object": "tax.calculation",
        "amount_total": sum(part["amount"] for part in parts) + exclusive,
        "currency": params["currency"].lower(),
        "customer": params.get("customer"),
        "customer_details": details,
        "expires_at": now + LIFETIME_SECONDS,
        "livemode": False,
        "ship_from_details": params.get("ship_from_details"),
        "shipping_cost": shipping,
        "tax_amount_exclusive": exclusive,
        "tax_amount_inclusive": inclusive,
        "tax_breakdown": [
            rate.summary(parts, inclusive=behavior == "inclusive")
            for behavior in ("exclusive", "inclusive")
            if any(part["tax_behavior"] == behavior for part in parts)
        ],
        "tax_date": params.get("tax_date", now),
    }
    call.objects("tax.calculation").add(calculation)
    call.account.tax_lines[calculation_id] = lines
    return calculation


def retrieve_calculation(call: Call) -> JsonObject:
    """GET /v1/tax/calculations/{calculation}, until it expires."""
    return current_calculation(call, call.path["calculation"], "calculation", 404)


def list_calculation_lines(call: Call) -> JsonObject:
    """GET /v1/tax/calculations/{calculation}/line_items."""
    calculation = current_calculation(call, call.path["calculation"], "calculation", 404)
    url = f"/v1/tax/calculations/{calculation['id']}/line_items"
    return lines_page(url, call.account.tax_lines[calculation["id"]], call.params)


def lines_page(url: str, lines: list[JsonObject], params: dict[str, Any]) -> JsonObject:
    """A list answer of line items, in their own order."""
    limit = page_limit(params)
    start = 0
    if "starting_after" in params:
        start = 1 + next(
            (place for place, line in enumerate(lines) if line["id"] == params["starting_after"]),
            len(lines),
        )
    page = lines[start : start + limit]
    return {"object": "list", "data": page, "has_more": len(lines) > start + limit, "url": url}


def current_calculation(call: Call, identifier: str, param: str, status: int) -> JsonObject:
    """The calculation of this id. Raises ApiError if there is none or it has expired."""
    calculation = call.objects("tax.calculation").get(identifier, param, status)
    if calculation["expires_at"] <= call.account.now():
        raise invalid_request(f"The calculation {identifier} has expired.", param=param)
    return calculation


def _customer_details(call: Call) -> JsonObject:
    given = call.params.get("customer_details", {})
    address: Any = given.get("address")
    tax_ids = given.get("tax_ids", [])
    if "customer" in call.params:
        if given:
            raise invalid_request(
                "You may only specify one of these parameters: customer, customer_details."
            )
        customer = call.objects("customer").get(call.params["customer"], "customer", 400)
        address = customer["address"]
        tax_ids = [
            {"type": item["type"], "value": item["value"]}
            for item in call.objects("tax_id")
            if item["customer"] == customer["id"]
        ]
    if address is None and "ip_address" not in given:
        raise invalid_request(
            "The customer's location cannot be determined: give an address or an IP address.",
            code="customer_tax_location_invalid",
            param="customer_details[address]",
        )
    names = ("city", "country", "line1", "line2", "postal_code", "state")
    return {
        "address": {name: address.get(name) for name in names} if address else None,
        "address_source": given.get("address_source", "shipping" if address else None),
        "ip_address": given.get("ip_address"),
        "tax_ids": tax_ids,
        "taxability_override": given.get("taxability_override", "none"),
    }


def _line_item(account: TwinAccount, item: JsonObject, number: int, rate: TaxRate) -> JsonObject:
    behavior = item.get("tax_behavior", "exclusive")
    tax = rate.tax_on(item["amount"], behavior)
    return {
        "id": account.new_id("tax_li"),
        "object": "tax.calculation_line_item",
        "amount": item["amount"],
        "amount_tax": tax,
        "livemode": False,
        "metadata": item.get("metadata"),
        "performance_location": None,
        "product": item.get("product"),
        "quantity": item.get("quantity", 1),
        "reference": item.get("reference", f"L{number}"),
        "tax_behavior": behavior,
        "tax_breakdown": rate.breakdown(item["amount"], tax, behavior),
        "tax_code": item.get("tax_code", DEFAULT_TAX_CODE),
    }


def _shipping(given: JsonObject | None, rate: TaxRate) -> JsonObject | None:
    if given is None:
        return None
    amount, behavior = given.get("amount", 0), given.get("tax_behavior", "exclusive")
    tax = rate.tax_on(amount, behavior)
    return {
        "amount": amount,
        "amount_tax": tax,
        "tax_behavior": behavior,
        "tax_breakdown": rate.breakdown(amount, tax, behavior),
        "tax_code": given.get("tax_code", SHIPPING_TAX_CODE),
    }


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
    transaction["shipping_cost"] = _shipping_of(calculation["shipping_cost"], 1)
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
        reversal["shipping_cost"] = _shipping_of(original["shipping_cost"], -1)
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


def _shipping_of(cost: JsonObject | None, sign: int) -> JsonObject | None:
    if cost is None:
        return None
    amounts = {"amount": sign * cost["amount"], "amount_tax": sign * cost["amount_tax"]}
    kept = {name: cost[name] for name in ("tax_behavior", "tax_code")}
    return {**amounts, **kept}
