// A second verifier of a ledger's JSON Lines export, written from docs/proofs.md alone: plain Node, no packages.
//
//   node verify_export.mjs KEY [--after NOTE] EXPORT...
//
// One line for each export; exits with 1 if any is wrong.
import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { basename, join } from 'node:path'

const EFFECTS = {
  DIRECT: ['POST'], PENDING: ['HOLD'], POST: ['POST', 'RELEASE'], VOID: ['RELEASE'], EXPIRY: ['RELEASE'],
  REVERSAL: ['POST'],
}
const SETTLEMENTS = ['POST', 'VOID', 'EXPIRY']
const TOTALS = ['posted_debits', 'posted_credits', 'pending_debits', 'pending_credits']
const READ_BYTES = 1 << 20

class Wrong extends Error {}

function demand(condition, message) {
  if (!condition) throw new Wrong(message)
}

function sha256(...parts) {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

function base64(text, length, what) {
  const bytes = Buffer.from(text, 'base64')
  demand(bytes.length === length && bytes.toString('base64') === text, `${what} is not base64 of ${length} bytes`)
  return bytes
}

// Keys and notes: https://c2sp.org/signed-note

function readKey(text) {
  const [name, id, ...rest] = text.trim().split('+')
  const key = base64(rest.join('+'), 33, 'the key')
  const keyId = sha256(`${name}\n`, key).subarray(0, 4)
  demand(key[0] === 1 && keyId.toString('hex') === id, 'the key is not what its id says')
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: key.subarray(1).toString('base64url') }
  return { name, keyId, publicKey: createPublicKey({ key: jwk, format: 'jwk' }) }
}

function readNote(path, key) {
  const bytes = readFileSync(path)
  const lines = bytes.toString('utf8').split('\n')
  demand(lines.length === 7 && lines[4] === '' && lines[6] === '', 'the note has another form')
  const [origin, size, root] = lines
  const accounts = /^accounts (0|[1-9][0-9]*) (\S+)$/.exec(lines[3])
  demand(/^ledger\/[a-z][a-z0-9_-]*$/.test(origin) && /^[1-9][0-9]*$/.test(size) && accounts, 'the note has another form')
  const signature = /^— (\S+) (\S+)$/.exec(lines[5])
  demand(signature && signature[1] === key.name, 'the note has no signature by this key')
  const signed = base64(signature[2], 68, 'the signature')
  demand(signed.subarray(0, 4).equals(key.keyId), 'the note has no signature by this key')
  const text = Buffer.from(lines.slice(0, 4).join('\n') + '\n')
  demand(bytes.subarray(0, text.length).equals(text), 'the note is not UTF-8')
  demand(verifySignature(null, text, key.publicKey, signed.subarray(4)), 'the signature is not that of the text')
  return {
    ledger: origin.slice('ledger/'.length), size: Number(size), root: base64(root, 32, 'the root'),
    accounts: Number(accounts[1]), chain: base64(accounts[2], 32, 'the chain'),
  }
}

// RFC 9162, section 2.1: the complete subtrees so far, the largest first.

class Log {
  size = 0
  subtrees = []

  append(leaf) {
    let hash = sha256('\x00', leaf)
    for (let rest = this.size; rest % 2 === 1; rest = (rest - 1) / 2) hash = sha256('\x01', this.subtrees.pop(), hash)
    this.subtrees.push(hash)
    this.size += 1
  }

  root() {
    return this.subtrees.reduceRight((right, left) => sha256('\x01', left, right))
  }
}

// RFC 8785 for objects, lists and strings.

function canonical(value) {
  if (typeof value === 'string') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  demand(value !== null && typeof value === 'object', 'a value is neither a string, a list nor an object')
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`
}

function* lines(path) {
  const file = openSync(path)
  let number = 0
  try {
    let rest = Buffer.alloc(0)
    const buffer = Buffer.alloc(READ_BYTES)
    for (let count; (count = readSync(file, buffer)) > 0;) {
      rest = Buffer.concat([rest, buffer.subarray(0, count)])
      let start = 0
      for (let end; (end = rest.indexOf(10, start)) >= 0; start = end + 1) {
        yield { place: `${basename(path)}, line ${++number}`, bytes: rest.subarray(start, end) }
      }
      rest = rest.subarray(start)
    }
    demand(rest.length === 0, `${basename(path)}, line ${number + 1}: has no end`)
  } finally {
    closeSync(file)
  }
}

function read(bytes) {
  let value
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new Wrong('is not JSON')
  }
  demand(Buffer.from(canonical(value)).equals(bytes), 'is not canonical JSON')
  return value
}

// The keys of each object: those that are always there, and those that may be.
const KEYS = {
  account: ['create_time currency name normal_balance number', 'limits metadata'],
  transaction: [
    'effective_time entries kind ledger record_time sequence',
    'exchanges expire_time metadata reference request_id reverses settles',
  ],
  entry: [
    'account amount currency direction effect pending_credits pending_debits posted_credits posted_debits version',
    'description source_entry',
  ],
}

function shaped(value, shape) {
  const [always, maybe] = KEYS[shape].map((names) => names.split(' '))
  demand(Object.prototype.toString.call(value) === '[object Object]', `a ${shape} is no object`)
  const keys = Object.keys(value)
  demand(always.every((key) => keys.includes(key)), `the ${shape} lacks a key`)
  demand(keys.every((key) => always.includes(key) || maybe.includes(key)), `the ${shape} has an unknown key`)
  return value
}

function positive(text, name) {
  demand(typeof text === 'string' && /^[1-9][0-9]{0,18}$/.test(text), `${name} is ${text}`)
  return BigInt(text)
}

// The books: totals, holds and reversals kept again from the log.

class Books {
  accounts = new Map()
  left = new Map() // What holds and reversible transactions have left, entry by entry.
  sequence = 0n
  recordTime = ''

  constructor(ledger) {
    this.ledger = ledger
  }

  addAccount(account) {
    shaped(account, 'account')
    demand(account.number === String(this.accounts.size + 1), `number is ${account.number}`)
    demand(!this.accounts.has(account.name), 'the name is taken')
    this.accounts.set(account.name, { currency: account.currency, totals: [0n, 0n, 0n, 0n], version: 0n })
  }

  add(transaction) {
    const { kind, entries } = shaped(transaction, 'transaction')
    demand(Array.isArray(entries) && entries.length > 0, 'entries is no list')
    entries.forEach((entry) => shaped(entry, 'entry'))
    demand(positive(transaction.sequence, 'sequence') === this.sequence + 1n, `sequence is ${transaction.sequence}`)
    demand(transaction.ledger === this.ledger, `ledger is ${transaction.ledger}`)
    demand(transaction.record_time >= this.recordTime, 'record_time falls')
    demand(Object.hasOwn(EFFECTS, kind) && SETTLEMENTS.includes(kind) === 'settles' in transaction, 'settles and kind disagree')
    demand((kind === 'REVERSAL') === 'reverses' in transaction, 'reverses and kind disagree')
    const sums = new Map()
    entries.forEach((entry, index) => this.post(entry, index, kind, sums))
    for (const [key, sum] of sums) demand(sum === 0n, `${key} is not balanced`)
    if (transaction.settles) this.take(transaction.settles, 'PENDING', entries)
    if (transaction.reverses) this.take(transaction.reverses, 'POSTED', entries)
    if (kind !== 'VOID' && kind !== 'EXPIRY' && kind !== 'REVERSAL') this.left.set(transaction.sequence, {
      state: kind === 'PENDING' ? 'PENDING' : 'POSTED',
      entries: entries.map((e) => e.effect === 'RELEASE' ? null : { ...e, remaining: BigInt(e.amount) }),
    })
    this.sequence += 1n
    this.recordTime = transaction.record_time
  }

  post(entry, index, kind, sums) {
    const account = this.accounts.get(entry.account)
    demand(account && account.currency === entry.currency, `entry ${index}: no account ${entry.account} in ${entry.currency}`)
    demand(EFFECTS[kind].includes(entry.effect), `entry ${index}: ${entry.effect} in ${kind}`)
    demand(['DEBIT', 'CREDIT'].includes(entry.direction), `entry ${index}: direction is ${entry.direction}`)
    const amount = positive(entry.amount, 'amount')
    const credit = entry.direction === 'CREDIT'
    const place = (entry.effect === 'POST' ? 0 : 2) + (credit ? 1 : 0)
    account.totals[place] += entry.effect === 'RELEASE' ? -amount : amount
    account.version += 1n
    TOTALS.forEach((name, at) => {
      demand(entry[name] === String(account.totals[at]), `entry ${index}: ${name} is ${entry[name]}, not ${account.totals[at]}`)
    })
    demand(entry.version === String(account.version), `entry ${index}: version is ${entry.version}`)
    const key = `${entry.effect} ${entry.currency}`
    sums.set(key, (sums.get(key) ?? 0n) + (credit ? -amount : amount))
  }

  // Settlements release from a hold and post no more of an entry than they release; reversals take from what was posted.
  take(sequence, state, entries) {
    const earlier = this.left.get(sequence)
    demand(earlier && earlier.state === state, `refers to ${sequence}, which is not ${state}`)
    const released = new Map()
    const ordered = [...entries].sort((a, b) => (a.effect === 'POST') - (b.effect === 'POST'))
    for (const entry of ordered) {
      const source = earlier.entries[Number(entry.source_entry)]
      const opposite = (source?.direction !== entry.direction) === (state === 'POSTED')
      demand(source && source.account === entry.account && opposite, `there is no entry ${entry.source_entry} to take from`)
      const amount = BigInt(entry.amount)
      if (state === 'PENDING' && entry.effect === 'POST') {
        released.set(source, (released.get(source) ?? 0n) - amount)
        demand(released.get(source) >= 0n, 'posts more than it releases')
      } else {
        source.remaining -= amount
        released.set(source, (released.get(source) ?? 0n) + amount)
        demand(source.remaining >= 0n, `takes more than entry ${entry.source_entry} has left`)
      }
    }
  }
}

function verify(directory, key, older) {
  const note = readNote(join(directory, 'checkpoint.note'), key)
  const books = new Books(note.ledger)
  const checkpoints = older ? [older, note] : [note]
  let chain = Buffer.alloc(32)
  for (const { place, bytes } of lines(join(directory, 'accounts.jsonl'))) {
    at(place, () => books.addAccount(read(bytes)))
    chain = sha256(chain, sha256(bytes))
    for (const { accounts, chain: signed } of checkpoints) {
      demand(accounts !== books.accounts.size || chain.equals(signed), `accounts 1 to ${accounts}: not those of the checkpoint`)
    }
  }
  demand(books.accounts.size === note.accounts, `accounts.jsonl: has ${books.accounts.size} of ${note.accounts} accounts`)
  const log = new Log()
  for (const { place, bytes } of lines(join(directory, 'transactions.jsonl'))) {
    at(place, () => books.add(read(bytes)))
    log.append(bytes)
    for (const { size, root } of checkpoints) {
      demand(size !== log.size || log.root().equals(root), `transactions 1 to ${size}: not those of the checkpoint`)
    }
  }
  demand(log.size === note.size, `transactions.jsonl: has ${log.size} of ${note.size} transactions`)
  demand(!older || (older.size <= note.size && older.ledger === note.ledger), 'the older checkpoint is of another log')
  return `OK ${note.ledger}: ${log.size} transactions, ${books.accounts.size} accounts, root ${log.root().toString('hex')}`
}

function at(place, check) {
  try {
    check()
  } catch (error) {
    throw error instanceof Wrong ? new Wrong(`${place}: ${error.message}`) : error
  }
}

const [keyText, ...rest] = process.argv.slice(2)
const key = readKey(keyText)
const older = rest[0] === '--after' ? readNote(rest[1], key) : null
for (const directory of rest.slice(older ? 2 : 0)) {
  try {
    console.log(verify(directory, key, older))
  } catch (error) {
    if (!(error instanceof Wrong)) throw error
    console.log(`WRONG ${error.message}`)
    process.exitCode = 1
  }
}
