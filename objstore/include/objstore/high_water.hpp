// How far a client has seen a volume go: it never accepts an older state, whoever offers it.
//
// Format: docs/formats/volume.md, section "High-water mark".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/env.hpp"
#include "base/guid.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

namespace objstore {

struct Mark {
    std::uint64_t sequence = 0;
    base::Guid body_hash;
    base::Bytes record;  ///< the heartbeat of that state, to give it back to a holder that lost it; empty: not known
    friend bool operator==(const Mark&, const Mark&) = default;

    /// Whether there is anything in it that `present` lacks: a later state, or the record of the same one.
    [[nodiscard]] bool adds_to(const std::optional<Mark>& present) const;
    [[nodiscard]] base::Bytes encode(const base::Guid& aguid) const;
    /// base::Errc::bad_format unless it is a mark of this volume; unsupported if it is of a later version. The record
    /// is not verified here.
    [[nodiscard]] static base::Result<Mark> decode(const base::Guid& aguid, base::ByteView bytes);
};

class HighWater {
  public:
    virtual ~HighWater() = default;
    /// Nullopt if this client has never seen the volume. base::Errc::corrupt if the mark is damaged.
    virtual base::Task<base::Result<std::optional<Mark>>> load(base::Guid aguid) = 0;
    /// Durable when it returns. Never lowers a mark: what adds nothing to the present one is ignored.
    virtual base::Task<base::Result<void>> raise(base::Guid aguid, Mark mark) = 0;
    /// Where the volume's mark is kept, for messages.
    [[nodiscard]] virtual std::string where(const base::Guid& aguid) const = 0;
};

/// One small file a volume in `directory` of the node's disk (made if absent). The doors outlive it.
[[nodiscard]] std::unique_ptr<HighWater> make_disk_high_water(base::NodeEnv env, std::string directory);

}  // namespace objstore
