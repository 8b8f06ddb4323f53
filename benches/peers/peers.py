"""Worker of one engine: runs inferences on request.

usage: peers.py ENGINE MODEL.onnx FOLDER
FOLDER: the files of make_models.py, the model's card.json, and images.u8: images of the model's size, RGB, one after
the other.
Prints a line of JSON: the engine's version, the CPU time to load the model and that of its first inference, and
scores and corners for each image. Then for each line "N" on standard input it runs N inferences of the first image and
prints their CPU time (of this process) and their wall time in seconds. Scores and corners of a model without outputs of
the image are the highest score of each class and the box with the highest of them.

The inputs are ready made: floats for engines that take floats, in memory that the engine may read without a copy.
Converting pixels is not timed, unlike in boxcam, which favours these engines.
"""

import importlib
import json
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy


class OnnxRuntime:
    package = "onnxruntime"

    def __init__(self, model, optimizations="ORT_ENABLE_ALL"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, optimizations)
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.outputs = {}
        for output in self.session.get_outputs():
            value = onnxruntime.OrtValue.ortvalue_from_numpy(numpy.zeros(output.shape, numpy.float32))
            self.binding.bind_ortvalue_output(output.name, value)
            self.outputs[output.name] = value
        self.wrap = onnxruntime.OrtValue.ortvalue_from_numpy

    def set_input(self, pixels, floats):
        self.input = self.wrap(floats)
        self.binding.bind_ortvalue_input(self.session.get_inputs()[0].name, self.input)

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def names(self):
        return self.outputs

    def output(self, name):
        return self.outputs[name].numpy()


class OpenVino:
    package = "openvino"

    def __init__(self, model):
        import openvino

        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
        self.compiled = openvino.Core().compile_model(str(model), "CPU", settings)
        self.request = self.compiled.create_infer_request()
        self.wrap = lambda floats: openvino.Tensor(floats, shared_memory=True)

    def set_input(self, pixels, floats):
        self.input = self.wrap(floats)
        self.request.set_input_tensor(self.input)

    def run(self):
        # Without sharing it would copy the outputs each time; asynchronously it would wake another thread.
        self.request.infer(share_outputs=True)

    def names(self):
        return {name for output in self.compiled.outputs for name in output.names}

    def output(self, name):
        return self.request.get_tensor(name).data


class LiteRt:
    package = "ai-edge-litert"

    def __init__(self, model):
        from ai_edge_litert.interpreter import Interpreter

        # XNNPACK is used by default for all layers that it supports.
        self.interpreter = Interpreter(model_path=str(model), num_threads=1)
        self.interpreter.allocate_tensors()
        self.spec = self.interpreter.get_input_details()[0]
        self.indices = self.interpreter.get_signature_runner().get_output_details()
        # Without the copies and checks of the signature runner.
        self.run = self.interpreter.invoke

    def set_input(self, pixels, floats):
        if self.spec["dtype"] == numpy.int8:
            scale, zero_point = self.spec["quantization"]
            values = numpy.clip(numpy.rint(pixels / numpy.float32(scale)) + zero_point, -128, 127)
            self.interpreter.set_tensor(self.spec["index"], values.astype(numpy.int8)[None])
        else:
            self.interpreter.set_tensor(self.spec["index"], pixels[None])

    def names(self):
        return self.indices

    def output(self, name):
        return self.interpreter.get_tensor(self.indices[name]["index"])


class Ncnn:
    package = "ncnn"

    def __init__(self, stem):
        import ncnn

        self.net = ncnn.Net()
        self.net.opt.num_threads = 1
        self.net.opt.use_int8_inference = True
        self.net.opt.lightmode = True
        # Memory is kept between inferences, as in ncnn's own benchmark.
        self.allocators = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()
        self.net.opt.blob_allocator, self.net.opt.workspace_allocator = self.allocators
        ncnn.set_omp_num_threads(1)
        if self.net.load_param(f"{stem}.param") or self.net.load_model(f"{stem}.bin"):
            raise RuntimeError(f"{stem}.param: ncnn can't load it")
        self.wrap = ncnn.Mat
        self.source = self.net.input_names()[0]
        self.outputs = {}

    def set_input(self, pixels, floats):
        self.input = self.wrap(floats[0])

    def run(self):
        extractor = self.net.create_extractor()
        extractor.input(self.source, self.input)
        self.outputs = {name: extractor.extract(name)[1] for name in self.net.output_names()}

    def names(self):
        return self.net.output_names()

    def output(self, name):
        return numpy.array(self.outputs[name])[None]


ENGINES = {
    # The model's operators in floats, without int8 kernels, which saturate on some processors.
    "onnxruntime-reference": ("onnxruntime", lambda model, folder: OnnxRuntime(model, "ORT_DISABLE_ALL")),
    "onnxruntime-int8": ("onnxruntime", lambda model, folder: OnnxRuntime(folder / "uint8.onnx")),
    "onnxruntime-f32": ("onnxruntime", lambda model, folder: OnnxRuntime(folder / "float.onnx")),
    "openvino-int8": ("openvino", lambda model, folder: OpenVino(model)),
    "litert-int8": ("ai_edge_litert.interpreter", lambda model, folder: LiteRt(folder / "int8.tflite")),
    "ncnn-int8": ("ncnn", lambda model, folder: Ncnn(folder / "int8")),
}


def prediction(peer):
    """Scores and corners of the last inference."""
    if "class_prediction" in peer.names():
        return [peer.output(name).reshape(-1).tolist() for name in ("class_prediction", "bbox_prediction")]
    scores, boxes = (numpy.squeeze(peer.output(name)) for name in ("object_scores", "object_boxes"))
    return [scores.max(axis=0).tolist(), boxes[scores.max(axis=1).argmax()].tolist()]


def images(folder):
    """The images, scaled as the model's card has it: with channels last, and as a tensor of the card's layout."""
    spec = json.loads((folder / "card.json").read_text())["input"]
    raw = numpy.fromfile(folder / "images.u8", numpy.uint8).reshape(-1, spec["height"], spec["width"], 3)
    scaled = (raw.astype(numpy.float32) - numpy.float32(spec["zero_point"])) * numpy.float32(spec["scale"])
    turned = scaled.transpose(0, 3, 1, 2) if spec["layout"] == "nchw" else scaled
    return [(pixels, numpy.ascontiguousarray(floats[None])) for pixels, floats in zip(scaled, turned)]


def main():
    name, model, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    inputs = images(folder)
    module, make = ENGINES[name]
    # Importing the Python package is not counted as loading.
    importlib.import_module(module)
    start = time.process_time()
    peer = make(model, folder)
    loaded = time.process_time()
    peer.set_input(*inputs[0])
    peer.run()
    first = time.process_time()
    predictions = []
    for pixels, floats in inputs:
        peer.set_input(pixels, floats)
        peer.run()
        predictions.append(prediction(peer))
    peer.set_input(*inputs[0])
    ready = {
        "version": metadata.version(peer.package),
        "load_ms": (loaded - start) * 1e3,
        "first_ms": (first - loaded) * 1e3,
        "predictions": predictions,
    }
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        clock, used = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            peer.run()
        print(time.process_time() - used, time.perf_counter() - clock, flush=True)


if __name__ == "__main__":
    main()
