#!/usr/bin/env bash
# moto's SQS gives messages of one FIFO group to two consumers at once if both were waiting.
#
# Guess: while a message of a group is in flight, no other of that group is handed out, as SQS
# documents and as moto does for calls that do not wait.
# Seen with moto 5.2.5 (2026-11): a long poll takes the groups in flight once, when it begins. Of two
# that began on an empty queue one gets the first message and the other the second of the same
# group, both in flight. A consumer that was cut off leaves such a long poll behind, so a test of
# order under reconnects fails now and then although SQS would keep the order.
#
#   waiting consumers got [['first'], ['second']], in flight at once
#   without waiting: [['first'], []]
#
# Here: tests/gateway/webhooks_in/test_buffers.py compares the order with SQS's stand-in only where no
# consumer was cut off.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "moto[server,sqs]==5.2.5" boto3==1.43.117
cat > "$folder/run.py" <<'PY'
import sys
import threading
import time

import boto3
from moto.server import ThreadedMotoServer

LONG_POLL_SECONDS = 8
VISIBILITY_SECONDS = 60


def client(port):
    return boto3.client(
        "sqs",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def receive(port, url, wait):
    answer = client(port).receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=1,
        WaitTimeSeconds=wait,
        VisibilityTimeout=VISIBILITY_SECONDS,
    )
    return [message["Body"] for message in answer.get("Messages", [])]


def queue(port, name):
    made = client(port).create_queue(QueueName=name, Attributes={"FifoQueue": "true"})
    return made["QueueUrl"]


def send(port, url, body):
    client(port).send_message(
        QueueUrl=url, MessageBody=body, MessageGroupId="one", MessageDeduplicationId=body
    )


def waiting(port):
    url, got = queue(port, "waiting.fifo"), []
    consumers = [
        threading.Thread(target=lambda: got.append(receive(port, url, LONG_POLL_SECONDS)))
        for _ in range(2)
    ]
    for consumer in consumers:
        consumer.start()
    time.sleep(2)
    for body in ("first", "second"):
        send(port, url, body)
        time.sleep(2)
    for consumer in consumers:
        consumer.join()
    return sorted(got)


def not_waiting(port):
    url = queue(port, "not-waiting.fifo")
    for body in ("first", "second"):
        send(port, url, body)
    return [receive(port, url, 0) for _ in range(2)]


server = ThreadedMotoServer(port=0, verbose=False)
server.start()
port = server.get_host_and_port()[1]
together, apart = waiting(port), not_waiting(port)
server.stop()
print(f"waiting consumers got {together}, in flight at once")
print(f"without waiting: {apart}")
sys.exit((together, apart) != ([["first"], ["second"]], [["first"], []]))
PY
"$folder/env/bin/python" "$folder/run.py"
