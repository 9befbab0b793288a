// The messages of Tapestry as values. Bytes: proto/tapestry.proto; turned into these by codec.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "announcing/announcement.hpp"
#include "base/clock.hpp"
#include "base/transport.hpp"
#include "pointers/pointer_table.hpp"

namespace tapestry {

enum class Verb : std::uint8_t {
    publish = 1,
    find = 2,
    found = 3,
    deliver = 4,
    hand_over = 5,
    arrived = 6,
    neighbour_query = 7,
    have = 8,
};

constexpr std::size_t kMaxParcels = 1024;
constexpr std::size_t kBundleBytes = 256U << 10U;  ///< of announcements in one message; as much as is sent, not a limit
constexpr std::size_t kMaxReplicas = 16;
constexpr std::size_t kMaxTried = 32;
constexpr std::size_t kMaxWay = 64;
constexpr unsigned kMaxHops = 32;  ///< of an announcement: there it is kept, and goes no further
constexpr std::size_t kMaxPlaces = 16;
constexpr unsigned kMaxRounds = 8;

/// A part of an announcement on its way to the roots of that part.
struct Parcel {
    Announcement announcement;
    Range range;
    unsigned hops = 0;  ///< from the publisher to the receiver
    base::Duration delay{};
    bool last = false;
    base::Duration age{};  ///< since it was made, beyond its way
    bool confirm = false;  ///< its publisher waits until the root has it
    base::Duration
        step{};  ///< of the delay, the next hop's, to be taken back if that hop has not got it; does not travel
};

struct Find {
    base::Guid object;
    unsigned root = 0;
    unsigned count = 1;
    bool send = false;
    base::Address asker;
    std::uint64_t number = 0;
    std::vector<base::NodeId> tried;
    bool trace = false;
    std::vector<base::Address> way;
    std::uint64_t message = 0;  ///< the same however often and by whatever root this is asked
    unsigned round = 0;         ///< how often this root was asked before
    bool doubt = false;         ///< `tried` failed: whoever has pointers to them is to look for himself
};

struct Place {
    base::Address holder;
    base::Duration delay{};
};

struct Found {
    std::uint64_t number = 0;
    unsigned root = 0;
    std::vector<Place> places;  ///< locate: pointers met. send: who took it, by this answer
    bool last = false;
    bool certain = false;
    std::vector<base::Address> way;
};

struct Deliver {
    base::Guid object;
    unsigned root = 0;
    base::Address asker;
    std::uint64_t message = 0;
};

struct Delivered {
    bool taken = false;
    bool held = false;                       ///< it has the object, and took no message
    std::uint64_t born = 0;                  ///< stamp at which the holder's process began
    std::optional<Announcement> withdrawal;  ///< if neither
};

/// Objects `range` of the announcement of that stamp have come to their root.
struct Acknowledgement {
    std::uint64_t stamp = 0;
    Range range;
};

}  // namespace tapestry
