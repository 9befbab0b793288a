// Blocks at no more than so many bytes a second.
#pragma once

#include <memory>
#include <optional>

#include "base/clock.hpp"
#include "past/storage.hpp"

namespace tools {

/// Bytes a second; nullopt: as fast as it goes. Never 0.
struct RateLimits {
    std::optional<std::uint64_t> upload;
    std::optional<std::uint64_t> download;
};

/// Over `storage`, which outlives it, as `clock` does. A put waits before it goes, and its deadline moves by as long; a
/// get waits once the block is there, so that callers who keep few gets under way begin no more than the rate allows.
/// Records, lists and touches are small, and pass.
[[nodiscard]] std::unique_ptr<past::Storage> limit_rates(past::Storage& storage, base::Clock& clock, RateLimits limits);

}  // namespace tools
