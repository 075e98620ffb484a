// Sends the ledger what it refuses for thousands of reasons at once, and prints how it is told.
//
//   node refused_batches.mjs PROTOS ADDRESS LEDGER
//
// PROTOS is the folder of the .proto files; LEDGER is the name of a ledger to be made. All of it goes over one
// connection, on which a stream watches the ledger from before the first refusal until after the last.
import { open, run } from "./client.mjs";

const ITEMS = 8_000;
const LEGS = 10_000;
// The stream lasts as long as all calls together, on a machine that is busy with other things.
const DEADLINE_MS = 100_000;

const [protos, address, name] = process.argv.slice(2);
if (name === undefined) {
  console.error("usage: refused_batches.mjs PROTOS ADDRESS LEDGER");
  process.exit(2);
}

const ledger = open(protos, address, ["ledger/v1/ledger_service.proto"], DEADLINE_MS);

function leg(account, direction, units) {
  return {
    account,
    direction: `DIRECTION_${direction}`,
    amount: { currency_code: "EUR", minor_units: String(units) },
  };
}

function batch(requestId, units) {
  const item = { create: { entries: [leg("cash", "DEBIT", units), leg("wallet", "CREDIT", units)] } };
  return [
    "LedgerService/BatchCreateTransactions",
    {
      request_id: requestId,
      ledger: name,
      mode: "BATCH_MODE_INDEPENDENT",
      view: "TRANSACTION_VIEW_SUMMARY",
      items: Array(ITEMS).fill(item),
    },
  ];
}

function transaction(requestId, units, legs) {
  const entries = Array.from({ length: legs }, (_, index) =>
    index % 2 ? leg("wallet", "CREDIT", units) : leg("cash", "DEBIT", units),
  );
  return [
    "LedgerService/CreateTransaction",
    { request_id: requestId, ledger: name, transaction: { entries } },
  ];
}

async function refusalOf([method, request]) {
  try {
    await ledger.call(method, request);
  } catch (error) {
    const [details] = error.metadata.get("grpc-status-details-bin");
    return { code: error.code, message: error.details, details: details?.toString("base64") };
  }
  throw new Error(`${method} was not refused`);
}

await run(ledger, async () => {
  await ledger.call("LedgerService/CreateLedger", { request_id: name, name });
  for (const [account, side] of [["cash", "DEBIT"], ["wallet", "CREDIT"]]) {
    await ledger.call("LedgerService/CreateAccount", {
      request_id: `${account}-1`,
      ledger: name,
      account: { name: account, currency_code: "EUR", normal_balance: `NORMAL_BALANCE_${side}` },
    });
  }
  let watched = 0;
  const watch = ledger.stream("LedgerService/WatchTransactions", { ledger: name });
  const seen = new Promise((resolve, reject) => {
    watch.on("error", reject);
    watch.on("data", ({ transactions }) => {
      watched += transactions.length;
      if (transactions.at(-1)?.request_id === "last") resolve();
    });
  });
  seen.catch(() => {});
  await ledger.call(...batch("batch", 1));
  await ledger.call(...transaction("legs", 1, LEGS));
  const refusals = {
    batch_conflict: await refusalOf(batch("batch", 2)),
    legs_conflict: await refusalOf(transaction("legs", 2, LEGS)),
    batch_invalid: await refusalOf(batch("other", 0)),
    legs_invalid: await refusalOf(transaction("other", 0, LEGS)),
  };
  await ledger.call(...transaction("last", 1, 2));
  await seen;
  watch.on("error", () => {});
  watch.cancel();
  return { refusals, watched };
});
