// The operating system's random generator.
#pragma once

#include "base/rng.hpp"

namespace base::host {

/// getrandom(2), which blocks only before the machine's first entropy. Unlike the door promises, any thread may use it.
class HostRng final : public Rng {
  public:
    void fill(std::span<std::uint8_t> out) override;
};

}  // namespace base::host
