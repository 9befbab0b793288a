// How long requests take, in few fixed buckets: counting one is a handful of comparisons, and takes no memory.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/clock.hpp"

namespace past {

/// In the manner of Prometheus, except that each bucket counts its own.
struct LatencyHistogram {
    /// Upper bounds, inclusive. What takes longer is in one bucket more.
    static constexpr std::array<int, 13> kBoundsMs{1, 2, 5, 10, 20, 50, 100, 200, 500, 1'000, 2'000, 5'000, 10'000};

    std::array<std::uint64_t, kBoundsMs.size() + 1> counts{};
    std::uint64_t sum_us = 0;

    void count(base::Duration took) {
        const auto within = [&](int bound) { return took <= std::chrono::milliseconds{bound}; };
        const auto bucket = std::ranges::find_if(kBoundsMs, within);
        ++counts[static_cast<std::size_t>(bucket - kBoundsMs.begin())];
        const auto us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
        sum_us += us > 0 ? static_cast<std::uint64_t>(us) : 0;
    }
};

/// What a node is asked for: by commands of this machine and the layers above (the first ones), and by other nodes.
enum class RequestKind : std::uint8_t {
    put,
    get,
    touch,
    read_record,
    write_record,
    peer_store,
    peer_fetch,
    peer_touch,
    peer_record,
    peer_repair,  ///< comparing and offering copies
    peer_other,
};
constexpr std::size_t kRequestKinds = static_cast<std::size_t>(RequestKind::peer_other) + 1;
using RequestTimes = std::array<LatencyHistogram, kRequestKinds>;

[[nodiscard]] constexpr std::string_view name(RequestKind kind) {
    switch (kind) {
        case RequestKind::put: return "put";
        case RequestKind::get: return "get";
        case RequestKind::touch: return "touch";
        case RequestKind::read_record: return "read_record";
        case RequestKind::write_record: return "write_record";
        case RequestKind::peer_store: return "peer_store";
        case RequestKind::peer_fetch: return "peer_fetch";
        case RequestKind::peer_touch: return "peer_touch";
        case RequestKind::peer_record: return "peer_record";
        case RequestKind::peer_repair: return "peer_repair";
        case RequestKind::peer_other: return "peer_other";
    }
    return "peer_other";
}

}  // namespace past
