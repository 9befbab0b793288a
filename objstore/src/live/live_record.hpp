// What the forest holds of the live tree, and its bytes. Format: docs/formats/volume.md, "Live record". Pure.
#pragma once

#include <vector>

#include "base/result.hpp"
#include "objstore/live/order.hpp"

namespace objstore {

constexpr TreeKey kLiveKey{.inode = 0, .kind = Kind::live};
/// Numbers from 2^63 on are no live inode's: a mount has them for what it shows of the past.
constexpr std::uint32_t kMaxSlot = 1U << 31U;
constexpr std::size_t kRecentUpdates = 32;  // writers whose last update is known

/// An update that is in the tree: its writer asks for it after an answer was lost.
struct RecentUpdate {
    std::uint64_t id = 0;
    std::uint64_t root = 0;  ///< first 8 bytes of the BGUID of the version that it made
    friend bool operator==(const RecentUpdate&, const RecentUpdate&) = default;
};

struct LiveRecord {
    BlockRefPtr root;
    LiveCounts counts;
    std::uint32_t next_slot = 1;
    std::int64_t time_ns = 0;
    std::vector<RecentUpdate> recent;  ///< the last of each writer, the newest last; at most kRecentUpdates

    /// It takes the place of its writer's last.
    void remember(RecentUpdate update);

    [[nodiscard]] Opaque encode() const;
    /// base::Errc::bad_format; unsupported for a later format.
    [[nodiscard]] static base::Result<LiveRecord> decode(const Opaque& record);
    friend bool operator==(const LiveRecord& a, const LiveRecord& b) { return a.encode() == b.encode(); }
};

[[nodiscard]] std::uint64_t root_mark(const BlockRef& root);

}  // namespace objstore
