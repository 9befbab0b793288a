// Who is there: members say of themselves what they are called, what room they have and since when they run.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/env.hpp"
#include "daemon/peer_stack.hpp"

namespace tools {

constexpr std::size_t kMaxMachineNameBytes = 64;

/// What a member answers. Bytes: docs/formats/wire.md, "diagnostics".
struct SelfPortrait {
    std::string name;  ///< of the machine; whatever it says
    std::uint64_t capacity_bytes = 0;
    std::uint64_t used_bytes = 0;
    std::uint64_t uptime_s = 0;

    [[nodiscard]] base::Bytes encode() const;
    /// base::Errc::bad_format.
    [[nodiscard]] static base::Result<SelfPortrait> decode(base::ByteView bytes);
};

class Members {
  public:
    static constexpr std::uint8_t kQuestion = 3;  ///< of Service::diagnostics
    static constexpr std::uint8_t kWhere = 4;     ///< where a member is that the asker names

    /// All of them outlive it.
    Members(base::NodeEnv env, PeerStack& stack, std::string machine_name);

    /// The answer to another member's question.
    base::Task<base::Result<base::Message>> answer(base::Message question) const;
    /// Every member of the roster that is not revoked, ourselves first: asks those whose address is known, all at once,
    /// and waits two seconds at most. A neighbour that does not answer is suspected, so that the ring looks after it.
    /// Of one that does not, name and room are those that it told last.
    base::Task<nlohmann::json> list();
    /// For as long as the node runs: asks each neighbour once, so that one that dies has a name.
    base::Task<void> meet_neighbours();
    /// Of those that list() asked last, one that refuses us as removed from the network; nobody if any answered.
    [[nodiscard]] std::optional<base::NodeId> removed_by() const { return removed_by_; }

  private:
    struct Asked;
    [[nodiscard]] SelfPortrait ours() const;
    static base::Task<void> ask(Members* self, std::shared_ptr<Asked> asked, base::Address member,
                                base::TimePoint deadline);

    base::NodeEnv env_;
    PeerStack& stack_;
    const std::string name_;
    const base::TimePoint started_;
    struct Seen {
        base::TimePoint at;
        SelfPortrait said;
    };
    std::map<base::NodeId, Seen> seen_;  ///< who answered, and when last
    std::optional<base::NodeId> removed_by_;
};

/// Where these members say that the node `id` is: before it begins to be one itself. All are asked at once.
[[nodiscard]] base::Task<std::set<std::string>> where_others_see(base::NodeEnv env, base::NodeId id,
                                                                 std::vector<base::Address> members,
                                                                 base::TimePoint deadline);

}  // namespace tools
