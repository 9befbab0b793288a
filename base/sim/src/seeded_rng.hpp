// Random numbers that follow from a seed: xoshiro256++ (Blackman & Vigna 2019), and the mixing that makes seeds of
// seeds.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/rng.hpp"

namespace base::sim {

/// The finalizer of splitmix64: every bit of `value` changes about half of the result's.
[[nodiscard]] constexpr std::uint64_t scramble(std::uint64_t value) {
    value += 0x9E3779B97F4A7C15U;
    value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9U;
    value = (value ^ (value >> 27U)) * 0x94D049BB133111EBU;
    return value ^ (value >> 31U);
}
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
    return scramble(hash ^ (value * 0xD6E8FEB86659FD93U));
}
/// Eight bytes at a time; not for anything that an adversary feeds.
[[nodiscard]] inline std::uint64_t mix(std::uint64_t hash, ByteView bytes) {
    hash = mix(hash, bytes.size());
    while (bytes.size() >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), 8);
        hash = std::rotl((hash ^ word) * 0x9FB21C651E98DF25U, 29);
        bytes = bytes.subspan(8);
    }
    std::uint64_t word = 0;
    if (!bytes.empty()) std::memcpy(&word, bytes.data(), bytes.size());
    return mix(hash, word);
}
[[nodiscard]] inline std::uint64_t mix(std::uint64_t hash, std::string_view text) { return mix(hash, as_bytes(text)); }
/// A number in [0, 1) from a well mixed one.
[[nodiscard]] constexpr double unit_of(std::uint64_t value) { return static_cast<double>(value >> 11U) * 0x1.0p-53; }

class SeededRng final : public Rng {
  public:
    explicit SeededRng(std::uint64_t seed) {
        for (auto& word : state_) word = seed = scramble(seed);
    }

    void fill(std::span<std::uint8_t> out) override {
        while (!out.empty()) {
            const std::uint64_t word = draw();
            const std::size_t size = std::min<std::size_t>(out.size(), 8);
            std::memcpy(out.data(), &word, size);
            out = out.subspan(size);
        }
    }

    [[nodiscard]] std::uint64_t draw() {
        const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
        const std::uint64_t shifted = state_[1] << 17U;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }
    [[nodiscard]] double draw_unit() { return unit_of(draw()); }
    [[nodiscard]] bool chance(double share) { return share > 0 && draw_unit() < share; }

  private:
    std::array<std::uint64_t, 4> state_{};
};

}  // namespace base::sim
