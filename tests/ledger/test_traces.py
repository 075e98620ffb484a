"""What a trace of one call shows of the ledger."""

from opentelemetry import trace

from tests.ledger.client import LedgerClient, transfer
from tests.tracing import kept_spans


async def test_the_commit_and_the_reads_belong_to_the_callers_trace(bank: LedgerClient) -> None:
    tracer = trace.get_tracer("test")
    with kept_spans() as kept:
        with tracer.start_as_current_span("caller") as caller:
            await bank.create(transfer("wallet", "cash", 5))
            await bank.balance("wallet")
        of_caller = [
            span
            for span in kept.get_finished_spans()
            if span.context.trace_id == caller.get_span_context().trace_id
        ]
    spans = {span.name: span for span in of_caller}
    commit, read = spans["ledger.commit"], spans["ledger.read"]
    assert commit.attributes is not None
    assert commit.attributes["db.system"] == "postgresql"
    assert commit.attributes["ledger.operation"] == "CREATE"
    assert commit.parent is not None
    assert read.parent is not None
    # Names and amounts are in no span.
    assert not any("wallet" in str(span.attributes) for span in of_caller)
