// One node of a Tapestry mesh over any key-based routing: publishes what it holds, keeps pointers for others, finds.
//
// Papers: Zhao et al., JSAC 2004; Hildrum et al., SPAA 2002 (pointers that move with the mesh); Stribling et al.
// (backup pointers near the publisher). Bytes and rules: docs/formats/tapestry.md.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/env.hpp"
#include "pastry/kbr.hpp"
#include "tapestry/dolr.hpp"
#include "tapestry/identity.hpp"

namespace tapestry {

struct Config {
    using Milliseconds = std::chrono::milliseconds;

    unsigned roots = 2;         ///< of each object, tried in turn; the same on every node of a network
    unsigned root_backups = 2;  ///< neighbours of a root that keep its pointers as well
    unsigned near_hops = 2;     ///< so many first hops of a publish also tell the backups of the next hop
    unsigned backups_told = 2;  ///< how many of them
    Milliseconds republish_period{300'000};
    Milliseconds lease{750'000};     ///< 2.5 periods: one lost republish is no loss
    Milliseconds gather{50};         ///< what is published within so long travels together
    Milliseconds quiet_period{500};  ///< after a neighbour came or went, before pointers are moved
    Milliseconds call_timeout{3'000};
    Milliseconds ask_next{1'000};      ///< without an answer, before the next root is asked as well; doubles
    Milliseconds find_timeout{4'000};  ///< the same for a message, and for the confirmation of what is published
    std::size_t locations = 4;         ///< in one answer

    std::size_t max_pointers = 1U << 20U;
    std::size_t max_pointer_bytes = 256U << 20U;
    std::size_t max_pointers_per_object = 8;       ///< publishers
    std::size_t max_publishes_under_way = 512;     ///< messages of up to 256 KiB
    std::size_t max_answers = 1024;                ///< under way; more go by KBR, unwatched, and are not certain
    std::size_t max_waiting_parcels = 16U << 10U;  ///< that found no way yet
    std::size_t max_waiting_bytes = 64U << 20U;    ///< of these, and their announcements
    std::size_t remembered_messages = 4U << 10U;   ///< so that what is sent again is taken once
    std::size_t max_deliveries =
        256;  ///< messages being handed to holders for others; what is more goes on to the root
    std::size_t max_delivery_bytes = 64U << 20U;  ///< of these
    std::size_t max_checks = 64;                  ///< of publishers somebody doubts, under way
};

/// For `node status`.
struct Status {
    std::size_t published = 0;
    std::size_t pointers = 0;
    std::size_t publishers = 0;
    std::uint64_t publishes_sent = 0;  ///< messages
    std::uint64_t parcels_sent = 0;
    std::uint64_t parcels_lost = 0;    ///< found no way, again and again; until the next republish
    std::uint64_t bytes_sent = 0;      ///< of publish messages
    std::uint64_t refused = 0;         ///< announcements: forged, not of a member, stale, over a limit
    std::uint64_t finds_answered = 0;  ///< here, because a pointer was met
    std::uint64_t dead_pointers = 0;   ///< dropped: their publisher did not answer
    std::uint64_t denials = 0;         ///< dropped: their publisher did not have it
    std::uint64_t lies = 0;            ///< of these, those that were no honest ones: PointerTable::denied
    std::size_t pointer_bytes = 0;     ///< of memory, about
};

/// What a node said last of an object.
enum class Said {
    nothing,  ///< or so long ago that nobody remembers
    published,
    withdrawn,
};

class Node final : public Dolr {
  public:
    /// True for storage members of the network that are not revoked.
    using IsMember = std::function<bool(const base::NodeId&)>;

    /// The doors and `kbr` outlive this.
    Node(base::NodeEnv env, pastry::Kbr& kbr, Identity identity, IsMember is_member, Config config = {});
    ~Node() override;
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    /// Begins to republish. A node that entered a ring asks its neighbours for the pointers that are its own now, and
    /// until it has them it says "not published" of nothing; the `first` of a ring has nobody to ask.
    void start(bool first = false);
    /// Ends what the Node does of its own accord. Await it before destroying the Node while the executor runs, and then
    /// the end of its Transport: requests that are being answered are the Transport's, questions of callers are theirs.
    base::Task<void> stop();

    void publish(const std::vector<base::Guid>& objects) override;
    void unpublish(const std::vector<base::Guid>& objects) override;
    [[nodiscard]] Said said(const base::Guid& object) const;
    base::Task<std::vector<base::Guid>> published(std::vector<base::Guid> objects, base::TimePoint deadline) override;
    base::Task<base::Result<Located>> locate(base::Guid object, base::TimePoint deadline, bool trace = false) override;
    base::Task<base::Result<std::vector<Location>>> other_holders(base::Guid object, std::vector<base::NodeId> known,
                                                                  base::TimePoint deadline) override;
    base::Task<base::Result<Located>> locate_others(base::Guid object, std::vector<base::NodeId> failed,
                                                    base::TimePoint deadline) override;
    base::Task<base::Result<unsigned>> send_to_object(base::Guid object, base::SharedBytes message, unsigned replicas,
                                                      base::TimePoint deadline) override;
    void on_message(OnMessage handler) override;

    [[nodiscard]] Status status() const;
    /// Publishers of `object` that this node has pointers to, nearest first: for tests and `node status`.
    [[nodiscard]] std::vector<base::NodeId> pointers_to(const base::Guid& object) const;
    /// False while what that node publishes is refused here, because it lied.
    [[nodiscard]] bool believes(const base::NodeId& publisher) const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace tapestry
