// Small records that never go back: one register a key, kept by the members that its own value names.
//
// A register in the manner of CASPaxos (Rystsov 2018): no log, the state is the value; what is new here is that the set
// of its members is part of the value. Protocol and proof: docs/formats/register.md.
#pragma once

#include <map>
#include <set>

#include "base/task_group.hpp"
#include "registers/genesis.hpp"
#include "registers/promises.hpp"
#include "replication/holders.hpp"

namespace past {

/// How far a ballot may go beyond what its acceptor promised before. Honest ones go up by one, so whoever wanted to use
/// up the counters would need 2^42 promises, each of them synced by a majority.
constexpr std::uint64_t kMaxBallotStep = std::uint64_t{1} << 20U;

[[nodiscard]] constexpr bool too_far(const Ballot& ballot, const Ballot& promised) {
    return ballot.counter > promised.counter && ballot.counter - promised.counter > kMaxBallotStep;
}

/// What this node promised and accepted: one state a key, synced before it is told to anybody.
class Acceptor {
  public:
    Acceptor(Context& context, Genesis& genesis) : context_{context}, genesis_{genesis}, promises_{context} {}

    base::Task<base::Result<RegisterReply>> query(QueryRequest request);
    base::Task<base::Result<RegisterReply>> prepare(PrepareRequest request);
    base::Task<base::Result<RegisterReply>> accept(AcceptRequest request);
    /// In a register of one member both phases are one step, with one sync.
    base::Task<base::Result<RegisterReply>> replace_alone(base::Guid key, std::uint64_t expected, RegisterValue value);
    /// Storage::restore_record(), for a record that verifies.
    base::Task<base::Result<void>> restore_alone(base::Guid key, RegisterValue lost);
    /// Takes over what a teacher accepted, as if its proposer had sent it to us too.
    base::Task<base::Result<void>> learn(base::Guid key, RegisterState state);

    /// A fresh state if there is none. base::Errc::corrupt: then this node must not take part.
    [[nodiscard]] base::Result<StoredRegister> state(const base::Guid& key) const;
    /// Of the registers that have a value.
    [[nodiscard]] std::vector<base::Guid> keys() const { return {keys_.begin(), keys_.end()}; }
    /// Records that this node kept for itself alone before it joined its network: here they count as none.
    [[nodiscard]] std::vector<std::pair<base::Guid, Record>> from_before_joining() const;
    void load();

  private:
    struct Lock {
        std::shared_ptr<base::Semaphore> semaphore;
        base::Semaphore::Permit permit;
    };
    base::Task<Lock> lock(base::Guid key);
    base::Task<base::Result<void>> save(StoredRegister stored);
    [[nodiscard]] bool are_members(const RegisterValue& value) const;
    [[nodiscard]] bool is_from_before_joining(const RegisterValue& value) const;
    [[nodiscard]] RegisterReply reply(const StoredRegister& stored, const std::vector<base::NodeId>& genesis,
                                      bool done) const;
    [[nodiscard]] bool may_say_none(const StoredRegister& stored, const std::vector<base::NodeId>& genesis) const;
    void choose(StoredRegister& stored, std::uint64_t counter, RegisterValue value);

    Context& context_;
    Genesis& genesis_;
    Promises promises_;
    std::set<base::Guid> keys_;
    std::map<base::Guid, std::weak_ptr<base::Semaphore>> locks_;
};

/// Nobody but `node` has a say in what the value is, of those that count.
[[nodiscard]] bool kept_only_by(const RegisterValue& value, const base::NodeId& node, const Genesis& genesis);
/// Sorted.
[[nodiscard]] std::vector<base::NodeId> ids_of(const std::vector<base::Address>& addresses);

class Registers {
  public:
    Registers(Context& context, Holders& holders)
        : context_{context}, holders_{holders}, genesis_{context.self()}, acceptor_{context, genesis_} {}

    /// Reads what an earlier run left in the store.
    void load();
    /// The roster or the policy changed.
    void membership_changed();

    base::Task<base::Result<std::optional<Record>>> read(base::Guid key, base::TimePoint deadline);
    /// As Storage::read_any_record().
    base::Task<base::Result<ShownRecord>> read_any(base::Guid key, base::TimePoint deadline);
    base::Task<base::Result<void>> write(base::Guid key, std::uint64_t expected, Record next, base::TimePoint deadline);
    /// As Storage::restore_record().
    base::Task<base::Result<void>> restore(base::Guid key, Record lost);
    /// Makes `desired` the register's members. Errors: holders_unreachable; conflict if there is no record.
    base::Task<base::Result<void>> reconfigure(base::Guid key, std::vector<base::Address> desired,
                                               base::TimePoint deadline);

    base::Task<base::Result<base::Message>> answer(base::Peer from, base::Message message);
    /// Until we are settled: asks the teachers for what they have.
    base::Task<void> settle();
    /// Gives the network what this node kept for itself alone before it joined, where the network has no such record.
    base::Task<void> bring_along();
    /// Brings lagging members up to date and replaces those that left, for the registers we lead.
    base::Task<void> maintain();
    [[nodiscard]] bool settled() const { return genesis_.settled(); }
    [[nodiscard]] std::size_t count() const { return acceptor_.keys().size(); }
    /// Of which no majority answered when they were last asked: they can be neither read for certain nor written.
    [[nodiscard]] std::size_t without_majority() const { return without_majority_.size(); }
    /// While this node drains: of which it is not known yet that others keep them without it.
    [[nodiscard]] std::size_t left_to_drain() const;
    /// Who keeps these, and did not answer.
    [[nodiscard]] std::vector<base::NodeId> missing() const;

  private:
    struct Learned {
        std::optional<std::pair<Ballot, RegisterValue>> best;
        bool chosen = false;        ///< a quorum of all its members accepted exactly this ballot
        bool lagging = false;       ///< a member that answered has an older one
        std::uint64_t counter = 0;  ///< the greatest promised to anybody, of what can be believed; 0: nobody answered
        bool enough = false;
        std::optional<Record> newest;  ///< that anybody shows, where a query did not get enough answers
        std::optional<Record> begun;   ///< a write to be finished: a later record than that of `best`
        bool contested = false;        ///< a member shows a record that is further ahead than others confirm
        bool hopeless = false;         ///< so many members cannot be reached that no others could make it enough
        std::size_t answered = 0, members = 0;  ///< of the set that is shortest of a quorum, those that count
        std::size_t needed = 0;
        std::vector<base::NodeId> silent;  ///< of these
    };
    struct Round;

    /// The network is this node: it answers for the key, and nobody ever did but it.
    [[nodiscard]] bool alone(const base::Guid& key) const;
    /// What a node that is alone has. Errors: bad_record if it is damaged, base::Errc::unsupported if of a later
    /// version.
    base::Task<base::Result<RegisterReply>> ask_myself(base::Guid key);
    /// Leads a member that lags far behind up to the ballot, some steps at a time.
    base::Task<base::Result<RegisterReply>> ask(base::Address member, Verb verb, base::Guid key,
                                                std::vector<base::NodeId> genesis, Ballot ballot,
                                                std::optional<RegisterValue> value, base::TimePoint deadline);
    base::Task<base::Result<RegisterReply>> ask_once(base::Address member, Verb verb, base::Guid key,
                                                     std::vector<base::NodeId> genesis, Ballot ballot,
                                                     std::optional<RegisterValue> value, base::TimePoint deadline);
    /// Asks everybody who may know, following the members that the answers name, until majorities have answered.
    base::Task<Learned> learn(Verb verb, base::Guid key, Ballot ballot, base::TimePoint deadline);
    void ask_newly_named(Round& round, base::TimePoint deadline);
    void take_answers(Round& round) const;
    [[nodiscard]] bool credible(Round& round, const RegisterState& state) const;
    void count_the_unreachable(Round& round) const;
    [[nodiscard]] bool outbid(const Round& round) const;
    void look_for_what_was_begun(Round& round) const;
    [[nodiscard]] base::Error unreachable(const base::Guid& key, const Learned& learned) const;
    /// True once quorums of the value's members, the previous ones too, have accepted it.
    base::Task<bool> accept(base::Guid key, Ballot ballot, RegisterValue value, bool first, base::TimePoint deadline);
    base::Task<std::vector<base::Address>> starting_points(base::Guid key, base::TimePoint deadline);
    base::Task<std::vector<base::Address>> addresses(std::vector<base::NodeId> nodes, base::TimePoint deadline);
    base::Task<void> back_off(unsigned attempt);
    base::Task<base::Result<void>> bring(base::Guid key, Record record, base::TimePoint deadline);
    base::Task<bool> pull_from(base::NodeId teacher);
    base::Task<base::Result<base::Message>> pull(base::Peer from, base::Message message);
    [[nodiscard]] bool changes_members(const AcceptRequest& request) const;
    base::Task<void> maintain_one(base::Guid key, StoredRegister stored);
    base::Task<void> look_who_keeps(base::Guid key);
    base::Task<void> look_for_majority(base::Guid key, bool seen, base::TimePoint deadline);
    [[nodiscard]] Ballot new_ballot(std::uint64_t above);
    [[nodiscard]] std::vector<std::vector<base::NodeId>> quorums(const RegisterValue& value) const;
    base::Task<void> save_taught();

    Context& context_;
    Holders& holders_;
    Genesis genesis_;
    Acceptor acceptor_;
    std::map<base::Guid, base::TimePoint> unwanted_since_;  // whose members are not those that we would choose
    struct Asked {
        base::TimePoint when;
        std::vector<base::NodeId> silent;
    };
    std::map<base::Guid, Asked> without_majority_;
    std::set<base::Guid> kept_by_others_;  // while we drain
    base::Guid last_looked_at_;            // likewise; the next round goes on behind it
};

}  // namespace past
