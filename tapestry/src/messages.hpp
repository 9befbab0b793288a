// The messages of Tapestry as values. Bytes: proto/tapestry.proto; turned into these by codec.hpp.
#pragma once

#include <cstdint>
#include <vector>

#include "announcement.hpp"
#include "base/clock.hpp"
#include "base/transport.hpp"
#include "pointer_table.hpp"

namespace tapestry {

enum class Verb : std::uint8_t {
    publish = 1,
    find = 2,
    found = 3,
    deliver = 4,
    hand_over = 5,
};

constexpr std::size_t kMaxParcels = 64;
constexpr std::size_t kMaxReplicas = 16;
constexpr std::size_t kMaxTried = 32;
constexpr std::size_t kMaxWay = 64;
constexpr std::size_t kMaxPlaces = 16;

/// A part of an announcement on its way to the roots of that part.
struct Parcel {
    Announcement announcement;
    Range range;
    unsigned hops = 0;  ///< from the publisher to the receiver
    base::Duration delay{};
    bool last = false;
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
};

struct Place {
    base::Address holder;
    base::Duration delay{};
};

struct Found {
    std::uint64_t number = 0;
    unsigned root = 0;
    std::vector<Place> places;
    unsigned reached = 0;
    bool last = false;
    bool certain = false;
    std::vector<base::Address> way;
};

struct Deliver {
    base::Guid object;
    base::Address asker;
};

struct Delivered {
    bool taken = false;
};

}  // namespace tapestry
