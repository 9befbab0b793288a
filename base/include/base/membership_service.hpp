// The membership conversation: the issuer admits joiners, and members gossip the newest signed policy and roster.
//
// Messages: docs/formats/membership.md. On the node's executor.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/env.hpp"
#include "base/network_directory.hpp"
#include "base/task_group.hpp"

namespace base {

/// What a joiner sends and gets. Also used by tests and fuzzers.
struct JoinRequest {
    Key token_secret{};
    NetworkDirectory::Wish wish;
    [[nodiscard]] Message encode() const;
    [[nodiscard]] static Result<JoinRequest> decode(ByteView bytes);
};
[[nodiscard]] Message encode_admission(const NetworkDirectory::Admission& admission);
[[nodiscard]] Result<NetworkDirectory::Admission> decode_admission(ByteView bytes);

class MembershipService {
  public:
    using Neighbours = std::function<std::vector<Address>()>;
    using OnChange = std::function<void()>;
    /// A member spoke, and said where it can be dialled.
    using OnMember = std::function<void(const Address& from)>;

    /// `directory` outlives this. `neighbours` says whom to gossip with; `on_change` is called after a newer policy or
    /// roster was adopted.
    MembershipService(NodeEnv env, NetworkDirectory& directory, Neighbours neighbours, OnChange on_change,
                      OnMember on_member = {});
    ~MembershipService();
    /// Ends what it does of its own accord, and answers nobody any more. Await it before destroying it while the
    /// executor goes on running.
    Task<void> stop();

    /// Answers one joiner whose key the handshake has proven. Errc::denied with the reason.
    Task<Result<Message>> admit(PublicKey joiner, Message request);
    /// Tells the neighbours at once; call after the directory was changed by a local command.
    void spread();
    /// Greets a member: it hears which versions we have, and where we are.
    void greet(const Address& member) { env_.transport.notify(member, versions()); }

    /// Makes this the node where the authority, whose key must be here, acts: the one where it acts now is asked to let
    /// go. Done at once if it acts here. Errors: denied without the key; unreachable naming that node.
    Task<Result<void>> take_seat();
    /// Has the authority mark this node as draining, or take that back. Errors: unreachable, and those of
    /// NetworkDirectory::drain(); busy after several changes within a minute.
    Task<Result<void>> drain(bool on);
    /// Has the authority remove this node. Errors: unreachable, denied.
    Task<Result<void>> leave();

  private:
    Task<Result<Message>> on_request(Peer from, Message message);
    void on_notify(const Peer& from, Message message);
    Task<void> gossip_loop();
    /// Of policy and roster.
    struct Versions {
        std::uint64_t policy = 0;
        std::uint64_t roster = 0;
        [[nodiscard]] bool behind(const Versions& other) const {
            return policy < other.policy || roster < other.roster;
        }
    };
    [[nodiscard]] Versions ours() const { return {directory_.policy().version, directory_.roster().version}; }
    [[nodiscard]] bool worth_asking(const NodeId& member);
    Task<void> catch_up(Address from, Versions claimed);
    [[nodiscard]] Result<void> drain_for(const NodeId& member, bool on);
    Task<Result<Message>> ask_seat(Message request);
    bool take_state(ByteView state);
    [[nodiscard]] Message versions() const;

    NodeEnv env_;
    NetworkDirectory& directory_;
    Neighbours neighbours_;
    OnChange on_change_;
    OnMember on_member_;
    std::set<NodeId> asked_;                  ///< for what they say that they have; they may never answer
    std::map<NodeId, TimePoint> not_before_;  ///< those who did not have it
    struct Changes {
        TimePoint since;
        unsigned count = 0;
    };
    std::map<NodeId, Changes> drains_;  ///< who asked to be drained, or not, within the last minute
    TaskGroup tasks_;
};

}  // namespace base
