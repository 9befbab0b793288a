// The messages of Pastry as values. Bytes: proto/pastry.proto; turned into these by codec.hpp.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "base/transport.hpp"
#include "pastry/kbr.hpp"

namespace pastry {

/// A message on its way to the root of `key`.
struct Envelope {
    base::Guid key;
    NodeHandle origin;
    std::uint64_t message_id = 0;  ///< unique for its origin
    unsigned hops = 0;             ///< nodes crossed so far
    base::Message message;
};

struct Routed {
    std::uint64_t hop_id = 0;
    std::uint32_t transmission = 0;
    Envelope envelope;
};

struct Ack {
    std::uint64_t hop_id = 0;
    std::uint32_t transmission = 0;
    friend bool operator==(const Ack&, const Ack&) = default;
};

struct Heartbeat {
    friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

struct Probe {
    std::uint64_t probe_id = 0;
    bool reply = false;
    bool leaf_exchange = false;
    bool converged = false;
    std::vector<NodeHandle> leaf_set;
    std::vector<base::NodeId> failed;
    friend bool operator==(const Probe&, const Probe&) = default;
};

struct RowRequest {
    std::uint32_t row = 0;
    friend bool operator==(const RowRequest&, const RowRequest&) = default;
};

struct Row {
    std::uint32_t row = 0;
    std::vector<NodeHandle> nodes;
    friend bool operator==(const Row&, const Row&) = default;
};

struct Lookup {
    base::Guid key;
    std::vector<base::NodeId> exclude;
    std::uint32_t count = 0;
    bool join = false;
    std::uint32_t first_row = 0;
    friend bool operator==(const Lookup&, const Lookup&) = default;
};

struct LookupReply {
    bool root = false;
    std::vector<NodeHandle> next;
    std::vector<NodeHandle> replicas;
    std::vector<NodeHandle> rows;
    std::vector<NodeHandle> leaf_set;
    friend bool operator==(const LookupReply&, const LookupReply&) = default;
};

/// What nodes tell each other without waiting (Transport::notify).
using Notice = std::variant<Routed, Ack, Heartbeat, Probe, RowRequest, Row>;

enum class Verb : std::uint8_t {
    routed = 1,
    ack = 2,
    heartbeat = 3,
    probe = 4,
    probe_reply = 5,
    row_request = 6,
    row = 7,
    lookup = 8,
    ping = 9,
};

constexpr std::size_t kMaxLeafHandles = 128;
constexpr std::size_t kMaxFailedSent = 32;
constexpr std::size_t kMaxRowHandles = 64;
constexpr std::size_t kMaxExcluded = 32;
constexpr std::size_t kMaxNext = 8;
constexpr std::size_t kMaxReplicas = 64;
constexpr std::size_t kMaxJoinRowHandles = 128;

}  // namespace pastry
