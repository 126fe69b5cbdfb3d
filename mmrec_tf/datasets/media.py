"""Pictures, sound and clips in files: checked cheaply, decoded to arrays when asked for.

A check reads a file's header and walks its structure, so that a wrong, truncated or oversized file
is found without decoding it. Damage inside a well-formed file shows when it is decoded.
"""

import contextlib
import io
import math
import mmap
import struct
import warnings
from dataclasses import dataclass

import numpy as np

# Sizes that a header may claim. 89 million pixels is where Pillow, by default, suspects an attack;
# four billion are 69 s of 1920×1080 at 30 frames a second, and take about ten seconds to decode.
MAX_PIXELS = 89_478_485
MAX_VIDEO_PIXELS = 2**32
# The resampling filter has as many taps as the rates have no common factor.
MIN_RATE, MAX_RATE = 1_000, 384_000


class MediaError(ValueError):
    """A file that is not what it should be; `kind` says how, in a word or two."""

    def __init__(self, kind, message):
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self):
        return f"{self.kind}: {self.message}"


def check_image(path, *, max_pixels=MAX_PIXELS):
    """Raise an error unless `path` holds a whole JPEG or PNG picture, whatever its name says.

    Args:
        path: file.
        max_pixels: int, at most `MAX_PIXELS`.

    Raises:
        MediaError: if it is empty, truncated, of another format, or of too many pixels.
    """
    from PIL import Image

    with open(path, "rb") as file:
        head = _head(file)
        if not head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
            raise MediaError("not an image", "Expected a JPEG or PNG file: save the picture as one")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(file, formats=("JPEG", "PNG"))
        except Image.DecompressionBombError:
            raise _too_large("more", max_pixels) from None
        except Exception as error:
            raise MediaError(
                "truncated image", f"The header is cut off or wrong ({error})"
            ) from None
        with image:
            if image.width * image.height > max_pixels:
                raise _too_large(f"{image.width * image.height:,}", max_pixels)
            if image.format == "PNG":
                try:
                    image.verify()  # every chunk and its checksum, to the end
                except Exception as error:
                    raise MediaError("truncated image", f"Cut off or damaged ({error})") from None
            else:
                # Opening ends at the picture's data; a thumbnail before it has an end of its own.
                start = file.tell()
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    if data.rfind(b"\xff\xd9", start) < 0:
                        raise MediaError("truncated image", "Cut off: no end of image")


def decode_image(path, size):
    """Return a picture as it is meant to be seen: turned upright, RGB, transparency on white.

    Args:
        path: JPEG or PNG file.
        size: height and width; the whole picture is scaled to it, whatever its own proportions.

    Returns:
        uint8 array of shape `(height, width, 3)`.
    """
    from PIL import Image, ImageOps

    with Image.open(path, formats=("JPEG", "PNG")) as image:
        # A large JPEG is decoded at a half, a quarter or an eighth, but never below twice `size`.
        image.draft(None, (2 * max(size), 2 * max(size)))
        return _pixels(ImageOps.exif_transpose(image), size)


def check_audio(path):
    """Raise an error unless `path` holds uncompressed sound in WAV form, of any width.

    Returns:
        List of what `decode_audio` will convert, each a tuple of strings: kind, message, value.
        It is empty for one channel of 16-bit integers.

    Raises:
        MediaError: if it is empty, truncated, compressed, of another format, or of a rate
            outside 1,000 to 384,000 Hz.
    """
    with open(path, "rb") as file:
        wav = _wav_header(file)
    conversions = []
    if wav.channels != 1:
        kind = "stereo sound" if wav.channels == 2 else "multichannel sound"
        message = "Expected one channel. Their mean is taken: save the sound as mono to avoid it"
        conversions.append((kind, message, f"{wav.channels} channels"))
    if wav.width != 2:
        form = f"{8 * wav.width}-bit{' float' if wav.is_float else ''}"
        done = "scaled" if wav.width == 1 else "rounded"
        beyond = " and cut off beyond ±1" if wav.is_float else ""
        message = (
            f"Expected 16-bit integers. They are {done} to these{beyond}: "
            "save the sound as 16-bit PCM to avoid it"
        )
        conversions.append((f"{form} sound", message, f"{form} samples"))
    return conversions


def decode_audio(path, rate, n_samples):
    """Return the beginning of a recording, its channels averaged.

    Args:
        path: WAV file: integers of 8, 16, 24 or 32 bits or floats of 32 or 64 bits.
        rate: samples a second; the recording is resampled to it.
        n_samples: number of samples; a longer recording is cut, a shorter one ends in zeros.

    Returns:
        int16 array of shape `(n_samples,)`.
    """
    with open(path, "rb") as file:
        wav = _wav_header(file)
        # A little more than is kept, so that the filter sees no end where the recording has none.
        frames = min(math.ceil((n_samples / rate + 0.1) * wav.rate), wav.size // wav.align)
        data = file.read(frames * wav.align)
    if wav.is_float:
        samples = np.frombuffer(data, f"<f{wav.width}").astype(np.float64)
    elif wav.width == 1:
        samples = (np.frombuffer(data, np.uint8) - 128.0) / 128
    else:
        # Left-aligned in 32 bits: the bytes of 16 and 24 bits go to the upper end.
        aligned = np.zeros((len(data) // wav.width, 4), np.uint8)
        aligned[:, 4 - wav.width :] = np.frombuffer(data, np.uint8).reshape(-1, wav.width)
        samples = aligned.view("<i4")[:, 0] / 2.0**31
    if not np.isfinite(samples).all():
        raise MediaError("bad audio", "Expected finite samples. Received a NaN or an infinity")
    samples = samples.reshape(-1, wav.channels).mean(axis=1)
    if rate != wav.rate:
        from scipy.signal import resample_poly  # Here: it takes a second to import.

        common = math.gcd(rate, wav.rate)
        samples = resample_poly(samples, rate // common, wav.rate // common)
    sound = np.zeros(n_samples, np.int16)
    samples = np.clip(np.rint(samples[:n_samples] * 32768), -32768, 32767)
    sound[: len(samples)] = samples
    return sound


def check_video(path, *, max_pixels=MAX_VIDEO_PIXELS):
    """Raise an error unless `path` holds a whole GIF or MP4 clip with at least one frame.

    Args:
        path: file, whose name says which of the two.
        max_pixels: int, of all frames together.

    Raises:
        MediaError: if it is empty, truncated, of another format, without frames, or of too many
            pixels in all.
        ImportError: if an MP4 is to be read and the package `av` is not installed.
    """
    with open(path, "rb") as file:
        _head(file)
        width, height, n_frames = _mp4_size(file) if _is_mp4(path) else _gif_size(file)
    if n_frames == 0:
        raise MediaError("no frames", "Expected at least one frame")
    if width * height > MAX_PIXELS:
        raise _too_large(f"{width * height:,} a frame", MAX_PIXELS)
    if width * height * n_frames > max_pixels:
        raise _too_large(f"{width * height * n_frames:,} in {n_frames:,} frames", max_pixels)


def decode_video(path, n_frames, size):
    """Return frames spread evenly over a clip: the middle ones of `n_frames` equal parts.

    A clip of fewer frames repeats some. Frames are RGB, transparency on white, upright, and
    scaled to `size` as pictures are.

    Args:
        path: GIF or MP4 file.
        n_frames: number of frames.
        size: height and width.

    Returns:
        uint8 array of shape `(n_frames, height, width, 3)`.
    """
    frames = _mp4_frames if _is_mp4(path) else _gif_frames
    return np.stack([_pixels(frame, size) for frame in frames(path, n_frames)])


def _head(file):
    """Return the first bytes, and go back to them; an empty file is an error."""
    head = file.read(16)
    file.seek(0)
    if not head:
        raise MediaError("empty file", "Expected content. Received 0 bytes")
    return head


def _too_large(pixels, limit):
    return MediaError("too large", f"Expected at most {limit:,} pixels. Received: {pixels}")


def _pixels(image, size):
    """Return a Pillow image as a uint8 array of shape `(*size, 3)`."""
    from PIL import Image

    if image.mode.startswith("I;16"):  # which Pillow would clip, not scale, to 8 bits
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    height, width = size
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    return np.asarray(image)


@dataclass(frozen=True)
class _Wav:
    """What a WAV header says; `width`, `align` and `size` in bytes: a sample, a frame, all."""

    is_float: bool
    channels: int
    rate: int
    width: int
    align: int
    size: int


def _wav_header(file):
    """Read up to the samples, and return what stands before them."""
    _head(file)
    length = file.seek(0, io.SEEK_END)
    file.seek(0)
    riff = file.read(12)
    if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
        raise MediaError("not a wav", "Expected a WAV file (RIFF, WAVE): save the sound as one")
    wav = None
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise MediaError("truncated audio", "Cut off before the samples")
        name, size = struct.unpack("<4sI", head)
        start = file.tell()
        left = length - start
        if name == b"data" and wav is None:
            raise MediaError("bad audio", "Expected a format (fmt) before the samples")
        if size > left:
            raise MediaError(
                "truncated audio", f"Expected {size:,} bytes more. Received: {left:,} in {name!r}"
            )
        if name == b"data":
            if size == 0 or size % wav.align:
                kind = "bad audio" if size else "empty audio"
                raise MediaError(kind, f"Expected whole samples. Received: {size:,} bytes")
            return _Wav(wav.is_float, wav.channels, wav.rate, wav.width, wav.align, size)
        if name == b"fmt ":
            wav = _wav_format(file.read(size))
        file.seek(start + size + size % 2)


def _wav_format(body):
    if len(body) < 16:
        raise MediaError("bad audio", f"Expected a format of 16 bytes. Received: {len(body)}")
    tag, channels, rate, _, align, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == 0xFFFE and len(body) >= 26:  # extensible: the real tag stands further behind
        (tag,) = struct.unpack("<H", body[24:26])
    if (tag, bits) not in {(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)}:
        raise MediaError(
            "bad audio",
            "Expected integers of 8, 16, 24 or 32 bits or floats of 32 or 64 bits. "
            f"Received: format {tag} of {bits} bits. Save the sound as 16-bit PCM",
        )
    if not MIN_RATE <= rate <= MAX_RATE:
        raise MediaError(
            "bad audio", f"Expected {MIN_RATE:,} to {MAX_RATE:,} Hz. Received: {rate:,} Hz"
        )
    if channels == 0 or align != channels * bits // 8:
        raise MediaError(
            "bad audio",
            f"Expected {bits // 8} bytes a channel. Received: {align} for {channels} channels",
        )
    return _Wav(tag == 3, channels, rate, bits // 8, align, 0)


def _is_mp4(path):
    return path.suffix.lower() == ".mp4"


def _evenly(total, n):
    return (2 * np.arange(n) + 1) * total // (2 * n)


def _gif_size(file):
    """Return width, height and number of frames of a GIF, from its blocks alone."""

    def colours(flags):
        return 3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0

    n_frames = 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:6] not in (b"GIF87a", b"GIF89a"):
            raise MediaError("not a gif", "Expected a GIF file: save the clip as one")
        try:
            width, height, flags = struct.unpack_from("<HHB", data, 6)
            at = 13 + colours(flags)
            while data[at] != 0x3B:
                if data[at] == 0x2C:
                    left, top, across, down, flags = struct.unpack_from("<4HB", data, at + 1)
                    # A frame that reaches beyond the canvas enlarges it.
                    width, height = max(width, left + across), max(height, top + down)
                    n_frames += 1
                    at += 11 + colours(flags)
                elif data[at] == 0x21:
                    at += 2
                else:
                    raise MediaError(
                        "bad video", f"Expected a block. Received: byte {data[at]:#04x}"
                    )
                while data[at]:
                    at += 1 + data[at]
                at += 1
        except (IndexError, struct.error):
            raise MediaError("truncated video", f"Cut off in frame {n_frames}") from None
    return width, height, n_frames


def _gif_frames(path, n):
    from PIL import Image

    with open(path, "rb") as file:
        total = _gif_size(file)[2]
        with Image.open(file, formats=("GIF",)) as image:
            for number in _evenly(total, n):
                image.seek(int(number))
                yield image


@contextlib.contextmanager
def _open_mp4(file):
    """Open an MP4 and nothing else: FFmpeg would follow what a playlist so named points to."""
    try:
        import av
    except ImportError:
        raise ImportError(
            "Reading MP4 files needs the package av: pip install 'mmrec_tf[video]'. "
            "Or save the clips as GIF."
        ) from None
    try:
        with av.open(file, format="mp4", metadata_errors="replace") as container:
            yield container
    except MediaError:
        raise
    except Exception as error:  # Mostly, but not only, av.FFmpegError.
        raise MediaError(
            "bad video", f"FFmpeg cannot read it ({getattr(error, 'strerror', error)})"
        ) from None


def _mp4_size(file):
    """Return width, height and number of frames of an MP4, without decoding a frame."""
    if _head(file)[4:8] != b"ftyp":
        raise MediaError("not an mp4", "Expected an MP4 file: save the clip as one, or as GIF")
    length = file.seek(0, io.SEEK_END)
    at = 0
    while at + 8 <= length:  # The boxes of which the file is made: each begins with its size.
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4])
        if size == 1:
            size = int.from_bytes(head[8:])
        at += size if size else length
        if size and (size < 8 or at > length):
            kind = head[4:8].decode("latin-1")
            raise MediaError("truncated video", f"Cut off or damaged in the box {kind!r}")
    file.seek(0)
    with _open_mp4(file) as container:
        if not container.streams.video:
            return 0, 0, 0
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise MediaError("bad video", "Compressed in a way that is not known here")
        # Not `stream.frames`, which counts those too that an edit list hides.
        packets = container.demux(stream)
        n_frames = sum(packet.size > 0 and not packet.is_discard for packet in packets)
        return stream.width, stream.height, n_frames


def _mp4_frames(path, n):
    with open(path, "rb") as file:
        total = _mp4_size(file)[2]
        wanted = _evenly(total, n)
        file.seek(0)
        images, number = [], -1
        with _open_mp4(file) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number == wanted[len(images)]:
                    image = frame.to_image().rotate(frame.rotation, expand=True)
                    images += [image] * int(np.sum(wanted == number))
                    if len(images) == n:
                        return images
    raise MediaError("bad video", f"Expected {total} frames. Received: {number + 1}")
