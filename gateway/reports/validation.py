"""Validation rules of ReportService; `gateway.validation` merges them."""

import re
from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from gateway.payments.api.validation import MAX_NAME_BYTES, NAME
from gateway.v1 import report_service_pb2 as pb
from runtime.rule import Rule
from runtime.rules import PAGE, boolean, enum, text, timestamp

REPORT_ID = re.compile(r"rep_[A-Z0-9]+")

_REPORT = [text("report_id", required=True, max_bytes=MAX_NAME_BYTES, pattern=REPORT_ID)]

RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.ListReportsRequest: [
        *PAGE,
        text("corridor", max_bytes=MAX_NAME_BYTES, pattern=NAME),
        enum("kind"),
        boolean("only_ready"),
        timestamp("start_from"),
    ],
    pb.ReadReportRequest: _REPORT,
    pb.ReadReportFileRequest: _REPORT,
}
