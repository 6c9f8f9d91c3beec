"""The limits of a clip that bound the memory of decoding, whatever its header states, its rate and its channels.

Within the longest duration, a clip may have as many bytes and values as 48 kHz stereo or 96 kHz mono has in 32 bits.
"""

from typing import Final

from pipeline.errors import AudioError

_VALUES_PER_SECOND: Final = 96_000
_BYTES_PER_VALUE: Final = 4
# Room for headers and tags.
_HEADER_BYTES: Final = 1 << 20


def most_bytes(max_duration_s: float) -> int:
    """The largest file that is read, in bytes."""
    return int(max_duration_s * _VALUES_PER_SECOND) * _BYTES_PER_VALUE + _HEADER_BYTES


def require_not_longer(n_samples: int, rate: int, channels: int, max_duration_s: float) -> None:
    """Refuses a clip with too many samples.

    Args:
        n_samples: Per channel: those that a header states, or those decoded so far.
        rate: Hz.
        channels: Number of channels.
        max_duration_s: Longest duration in seconds.

    Raises:
        AudioError: `too_long`.
    """
    if n_samples > max_duration_s * rate:
        raise AudioError(
            "too_long", f"{n_samples} samples or more at {rate} Hz, at most {max_duration_s:g} s are allowed"
        )
    most = int(max_duration_s * _VALUES_PER_SECOND)
    if n_samples * channels > most:
        raise AudioError(
            "too_long", f"{n_samples} samples or more of {channels} channels, at most {most} values are allowed"
        )
