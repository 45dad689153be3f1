#!/usr/bin/python3
"""Trains a small image classifier on a folder of pictures, a folder a class.

    train.py DIRECTORY [--epochs 3] [--compare DIRECTORY]

An ordinary PyTorch job: ImageFolder, a shuffling DataLoader with two workers, a
small convolutional net.  DIRECTORY may lie anywhere; below a mountpoint of
acached it is in S3.  With --compare one more epoch is read from another copy.

Progress goes to stderr; one line of JSON an epoch goes to stdout, with what a
counting proxy saw of that epoch if --counts tells where to ask.
"""

import argparse
import io
import json
import sys
import time
import urllib.request
import warnings

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

warnings.filterwarnings("ignore", message="Palette images with Transparency")
Image.MAX_IMAGE_PIXELS = None
LARGEST = 4000000  # pixels; a few pictures would take gigabytes to decode


def net(classes):
    def block(n_in, n_out):
        return [nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out),
                nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*block(3, 16), *block(16, 32), *block(32, 64),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(64, classes))


def load(path):
    """Reads the whole file, and decodes it unless it is too large: then the
    picture is white."""
    with open(path, "rb") as f:
        data = f.read()
    image = Image.open(io.BytesIO(data))
    if image.width * image.height > LARGEST:
        return Image.new("RGB", (64, 64), "white")
    return image.convert("RGB")


def open_set(directory, size):
    return ImageFolder(directory, transforms.Compose([
        transforms.Resize((size, size)), transforms.ToTensor()]), loader=load)


def one_epoch(model, optimizer, dataset, args, seed, label):
    """{"samples", "seconds", "waiting", "loss", "accuracy"}"""
    loader = DataLoader(dataset, batch_size=args.batch, shuffle=True,
                        num_workers=args.workers,
                        generator=torch.Generator().manual_seed(seed))
    progress = Progress(label, len(dataset))
    waiting = loss_sum = 0.0
    samples = right = 0
    batches = iter(loader)
    while True:
        before = time.monotonic()
        batch = next(batches, None)
        waiting += time.monotonic() - before
        if batch is None:
            break
        images, labels = batch
        optimizer.zero_grad()
        out = model(images)
        loss = nn.functional.cross_entropy(out, labels)
        loss.backward()
        optimizer.step()
        samples += len(labels)
        loss_sum += loss.item() * len(labels)
        right += (out.argmax(1) == labels).sum().item()
        progress.show(samples)
    return {"epoch": label, "samples": samples,
            "seconds": time.monotonic() - progress.started,
            "waiting": waiting,
            "loss": loss_sum / samples, "accuracy": right / samples}


class Progress:
    """A line that is rewritten on a terminal, else a new one now and then."""

    def __init__(self, label, total):
        self.label = label
        self.total = total
        self.started = time.monotonic()
        self.shown = self.started

    def show(self, samples):
        now = time.monotonic()
        terminal = sys.stderr.isatty()
        last = samples == self.total
        if now - self.shown < (0.2 if terminal else 5) and not last:
            return
        self.shown = now
        sys.stderr.write("%s  %s: %d of %d pictures, %.0f/s %s" % (
            "\r" if terminal else "", self.label, samples, self.total,
            samples / max(now - self.started, 1e-9),
            "" if terminal and not last else "\n"))
        sys.stderr.flush()


def proxy_counts(url, reset=False):
    if not url:
        return None
    request = urllib.request.Request(
        url + ("/reset" if reset else "/counts"),
        method="POST" if reset else "GET")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("directory")
    p.add_argument("--epochs", type=int, default=3)
    p.add_argument("--compare", metavar="DIRECTORY")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("--size", type=int, default=64, help="of a picture's side")
    p.add_argument("--counts", metavar="URL", help="of a counting proxy")
    args = p.parse_args()

    torch.manual_seed(1)
    dataset = open_set(args.directory, args.size)
    model = net(len(dataset.classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    turns = [("epoch %d" % (n + 1), dataset) for n in range(args.epochs)]
    if args.compare:
        turns.append(("local copy", open_set(args.compare, args.size)))
    for n, (label, files) in enumerate(turns):
        proxy_counts(args.counts, reset=True)
        result = one_epoch(model, optimizer, files, args, n, label)
        result["s3"] = proxy_counts(args.counts)
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
