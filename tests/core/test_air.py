"""What bytes cost on the air, against published and measured figures."""

from __future__ import annotations

import pytest

from meshlog.core import air
from meshlog.core.air import LoRa

MEASURED = [  # SF at 125 kHz and CR 4/5: bit/s, seconds for 83 and for 500 bytes over an RNode
    (7, 5_469, 0.17, 0.82),
    (8, 3_125, 0.29, 1.44),
    (9, 1_758, 0.51, 2.56),
    (10, 977, 0.94, 4.67),
    (12, 293, 3.78, 18.5),
]


@pytest.mark.parametrize(("sf", "bit_rate_bps", "short_s", "long_s"), MEASURED)
def test_air_times_are_those_of_real_modems(sf, bit_rate_bps, short_s, long_s):
    lora = LoRa(sf=sf)

    assert lora.bit_rate_bps == pytest.approx(bit_rate_bps, rel=0.001)
    assert lora.airtime_ms(83) / 1_000 == pytest.approx(short_s, rel=0.03)
    assert lora.airtime_ms(500) / 1_000 == pytest.approx(long_s, rel=0.02)


def test_the_formula_gives_semtechs_own_figure():
    """Symbols counted by hand as AN1200.13 does: SF12, 125 kHz, CR 4/5, LDRO on, 51 bytes.

    8 + ceil((8 · 51 - 4 · 12 + 28 + 16) / (4 · 10)) · 5 = 63 symbols of 32.768 ms after
    a preamble of 18 + 4.25.
    """
    assert LoRa(sf=12).frame_ms(51) == pytest.approx((22.25 + 63) * 32.768)


def test_low_data_rates_are_optimised_where_a_symbol_takes_16_ms():
    assert LoRa(sf=11).frame_ms(100) / LoRa(sf=11, bw_hz=250_000).frame_ms(100) > 2.1
    assert LoRa(sf=10).frame_ms(100) / LoRa(sf=10, bw_hz=250_000).frame_ms(100) == 2


def test_a_large_packet_takes_two_frames():
    lora = LoRa(sf=8)

    assert lora.airtime_ms(254) == lora.frame_ms(255)
    assert lora.airtime_ms(255) == lora.frame_ms(255) + lora.frame_ms(2)


@pytest.mark.parametrize("size_bytes", [0, -1, air.PACKET_SIZE_MAX + 1])
def test_a_packet_of_no_possible_size_is_a_mistake(size_bytes):
    with pytest.raises(ValueError, match="B"):
        LoRa(sf=8).airtime_ms(size_bytes)


@pytest.mark.parametrize(
    "setting", [{"sf": 4}, {"sf": 13}, {"sf": 8, "cr": 4}, {"sf": 8, "bw_hz": 0}]
)
def test_a_setting_that_no_modem_has_is_a_mistake(setting):
    with pytest.raises(ValueError, match="no LoRa setting"):
        LoRa(**setting)


def test_packets_are_as_large_as_reticulums():
    """Source: measured on loopback, RNS 1.5.7."""
    assert air.plain_size(air.PLAIN_LOAD_MAX) == 483
    assert air.announce_size(16) == 183
    assert air.link_packet_size(10) == 83
    assert air.link_packet_size(air.LINK_LOAD_MAX) == 499
    assert 287 <= air.LINK_REQUEST + air.LINK_PROOF + air.LINK_RTT <= 297


def test_a_resource_is_cut_into_packets():
    sizes = air.part_sizes(1_000)

    assert len(sizes) == 3
    assert max(sizes) == 483
    assert sum(sizes) == 3 * 19 + air.encrypted_size(1_004)
