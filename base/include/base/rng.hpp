// Randomness as every layer sees it: the host's generator, or the simulator's seeded one.
#pragma once

#include <cstdint>
#include <span>

#include "base/guid.hpp"
#include "base/hash.hpp"

namespace base {

/// Not thread safe: one per node, used on the node's executor. Keys and salts drawn on a host come from the operating
/// system's generator; in simulation everything follows from the seed.
class Rng {
  public:
    virtual ~Rng() = default;
    virtual void fill(std::span<std::uint8_t> out) = 0;

    [[nodiscard]] std::uint64_t next();
    /// Uniform in [0, bound). Requires: bound > 0.
    [[nodiscard]] std::uint64_t below(std::uint64_t bound);
    /// Uniform in [0, 1).
    [[nodiscard]] double unit();
    [[nodiscard]] Guid guid();
    [[nodiscard]] Key secret();
};

}  // namespace base
