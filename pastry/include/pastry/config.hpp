// The numbers of one Pastry node. The defaults suit the Internet; tests on one machine set shorter times.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/clock.hpp"

namespace pastry {

struct Config {
    std::size_t leaf_set_per_side = 16;  ///< |L|/2; at most kMaxLeafSetPerSide
    std::size_t table_backups = 2;       ///< spare entries a slot of the routing table

    // Failure detection (MSPastry: Castro et al., DSN 2004, section 4.1).
    base::Duration heartbeat_interval = std::chrono::seconds{30};  ///< T_ls, to the left neighbour only
    base::Duration probe_timeout = std::chrono::seconds{3};        ///< T_o
    unsigned probe_retries = 2;                                    ///< then the node is faulty
    base::Duration stall_limit = std::chrono::seconds{15};         ///< see effective_stall_limit()

    // Hop acknowledgements: time-out = SRTT + 4 VAR, within these.
    base::Duration initial_rto = std::chrono::seconds{1};
    base::Duration min_rto = std::chrono::milliseconds{50};
    base::Duration max_rto = std::chrono::seconds{3};
    base::Duration hold_limit = std::chrono::seconds{60};  ///< a message that finds no way for this long is dropped

    // Upkeep.
    base::Duration leaf_exchange_interval = std::chrono::minutes{5};
    base::Duration table_exchange_interval = std::chrono::minutes{20};  ///< each row once
    base::Duration merge_interval = std::chrono::minutes{5};            ///< looking for a ring that we lost touch with
    base::Duration remember_failed = std::chrono::minutes{2};           ///< not believed alive by hearsay meanwhile
    base::Duration remember_absent = std::chrono::hours{24};
    base::Duration absent_probe_interval = std::chrono::seconds{30};  ///< doubles up to merge_interval

    // One step of an iterative look-up (join, trace, find_replica_set).
    base::Duration request_timeout = std::chrono::seconds{3};

    // Limits.
    std::size_t max_held_messages = 4096;  ///< forwarded and not yet acknowledged; more are refused, unacknowledged
    std::size_t max_held_bytes = 64U << 20U;
    std::size_t max_seen_messages = 8192;  ///< remembered to drop duplicates
    std::size_t max_probes = 256;          ///< under way at one time
    std::size_t max_distance_probes = 16;  ///< of these, to candidates for the table
    std::size_t max_candidates = 256;      ///< waiting for a distance probe
    std::size_t max_absent_nodes = 128;
    std::size_t max_failed_nodes = 256;
    std::size_t max_known_links = 1024;  ///< round-trip times remembered
    unsigned max_hops = 64;

    /// A node that was not scheduled for this long must not deliver before it has asked its leaf set again: others may
    /// have declared it dead. Never longer than they take for that.
    [[nodiscard]] base::Duration effective_stall_limit() const {
        const auto declared_dead = probe_timeout * probe_retries;
        return declared_dead.count() > 0 && declared_dead < stall_limit ? declared_dead : stall_limit;
    }
};

constexpr std::size_t kMaxLeafSetPerSide = 64;

}  // namespace pastry
