"""A protoc plugin that writes each file's options as it is told them, as `options.json`.

What buf's managed mode sets can so be seen without any language's own plugin.
"""

import json
import sys

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.json_format import MessageToDict

from runtime.command_line import command_parser


def main() -> None:
    """Answers the request on standard input."""
    command_parser("tests.protoc_gen_options", __doc__ or "").parse_args()
    request = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    options = {
        file.name: MessageToDict(file.options, preserving_proto_field_name=True)
        for file in request.proto_file
        if file.name in request.file_to_generate
    }
    response = CodeGeneratorResponse()
    response.supported_features = CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    response.file.add(name="options.json", content=json.dumps(options))
    sys.stdout.buffer.write(response.SerializeToString())


if __name__ == "__main__":
    main()
