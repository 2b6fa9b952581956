"""TensorFlow Serving's own client (`tensorflow-serving-api`) at work on a server of ours.

Run by the interpreter that has TensorFlow: `python serving_client.py PORT MODEL`. It prints
what it was answered as one line of JSON.
"""

# mypy: ignore-errors
# it is run where the project's types are not
from __future__ import annotations

import json
import sys

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)


def main() -> None:
    port, model = sys.argv[1:]
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    told = {}

    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = model
    asked.inputs["income"].CopyFrom(tf.make_tensor_proto([[1.0], [1.0]], dtype=tf.float32))
    asked.inputs["children"].CopyFrom(tf.make_tensor_proto([[2], [2]], dtype=tf.int64))
    asked.inputs["purpose"].CopyFrom(tf.make_tensor_proto([["car"], ["house"]]))
    found, call = predictions.Predict.with_call(asked, metadata=(("x-request-id", "loan"),))
    told["predict"] = tf.make_ndarray(found.outputs["score"]).tolist()
    told["probabilities"] = tf.make_ndarray(found.outputs["probabilities"]).tolist()
    told["version"] = found.model_spec.version.value
    told["request"] = dict(call.trailing_metadata())["x-request-id"]

    example = tf.train.Example()
    example.features.feature["income"].float_list.value.append(1.0)
    example.features.feature["children"].int64_list.value.append(2)
    example.features.feature["purpose"].bytes_list.value.append(b"car")
    for name, kind, call in (
        ("classify", classification_pb2.ClassificationRequest, predictions.Classify),
        ("regress", regression_pb2.RegressionRequest, predictions.Regress),
    ):
        asked = kind()
        asked.model_spec.name = model
        asked.model_spec.version_label = "champion"
        asked.input.example_list.examples.append(example)
        told[name] = str(call(asked).result)

    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = model
    signatures = get_model_metadata_pb2.SignatureDefMap()
    predictions.GetModelMetadata(asked).metadata["signature_def"].Unpack(signatures)
    inputs = signatures.signature_def["serving_default"].inputs
    told["inputs"] = {name: tf.dtypes.as_dtype(each.dtype).name for name, each in inputs.items()}

    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = model
    states = models.GetModelStatus(asked).model_version_status
    told["states"] = {str(each.version): each.state for each in states}

    asked.model_spec.name = "another"
    try:
        models.GetModelStatus(asked)
    except grpc.RpcError as error:
        told["unknown"] = error.code().name
    print(json.dumps(told))


if __name__ == "__main__":
    main()
