// Our own questions: along the way to one root of an object, to the next if no answer comes soon, and again by other
// first hops. The first good answer ends it; "nobody publishes it" needs the word of every root.
#include <algorithm>

#include "base/limits.hpp"
#include "base/wait.hpp"
#include "node_impl.hpp"
#include "wire/codec.hpp"

namespace tapestry {

using base::Address;
using base::Guid;
using base::Message;
using base::NodeId;
using base::Result;
using base::Task;
using base::TimePoint;

namespace {

constexpr unsigned kRounds = 4;     // each root is asked so often, unless the question says otherwise,
constexpr unsigned kAfterWord = 2;  // but no more than this once it has answered

}  // namespace

struct Node::Impl::Question {
    enum class Outcome { open, none, certain };
    struct Way {
        std::uint64_t number = 0;
        unsigned root = 0;
        TimePoint asked{};
        Outcome outcome = Outcome::open;
    };

    explicit Question(base::Executor executor) : changed{std::move(executor)} {}

    [[nodiscard]] bool heard_of(unsigned root) const {
        return std::ranges::any_of(ways, [&](const Way& w) { return w.root == root && w.outcome != Outcome::open; });
    }
    [[nodiscard]] bool certain(unsigned root) const {
        return std::ranges::any_of(ways, [&](const Way& w) { return w.root == root && w.outcome == Outcome::certain; });
    }
    template <class Predicate>
    [[nodiscard]] bool all_roots(Predicate holds) const {
        for (unsigned root = 0; root < roots; ++root) {
            if (!holds(root)) return false;
        }
        return true;
    }
    [[nodiscard]] bool all_heard() const {
        return all_roots([this](unsigned root) { return heard_of(root); });
    }
    [[nodiscard]] bool heard() const {
        return std::ranges::any_of(ways, [](const Way& way) { return way.outcome != Outcome::open; });
    }
    [[nodiscard]] bool nobody() const {
        return all_roots([this](unsigned root) { return certain(root); });
    }
    [[nodiscard]] bool done() const {
        if (nobody() || !places.empty()) return true;
        return wanted > 0 && (took.size() >= wanted || (!took.empty() && all_heard()));
    }

    base::Event changed;
    unsigned roots = 0;
    unsigned rounds = kRounds;
    unsigned wanted = 0;  // replicas; 0: where they are
    std::vector<Way> ways;
    std::set<NodeId> took;
    std::set<NodeId> not_these;
    std::vector<Place> places;
    NodeId met;  // who answered with these
    std::vector<Address> crossed;
    unsigned met_by = 0;  // on the way to which root
    base::Duration waited{};
};

/// Forgets the numbers of a question when its asker goes, however that is.
class Node::Impl::Asking {
  public:
    Asking(Impl& impl, std::shared_ptr<Question> question) : impl_{impl}, question_{std::move(question)} {}
    ~Asking() {
        for (const auto& way : question_->ways) impl_.questions_.erase(way.number);
    }
    Asking(const Asking&) = delete;
    Asking& operator=(const Asking&) = delete;

  private:
    Impl& impl_;
    std::shared_ptr<Question> question_;
};

void Node::Impl::on_found(const NodeId& by, const Message& message) {
    auto found = decode_found(message.header);
    if (!found) return;
    const auto at = questions_.find(found->number);
    if (at == questions_.end()) return;  // late, or nobody's
    auto& question = *at->second.question;
    auto& way = question.ways[at->second.number];
    if (found->root != way.root) return;
    using Outcome = Question::Outcome;
    std::erase_if(found->places, [&](const Place& place) {
        const auto& id = place.holder.id;
        return id == self().id || !is_member_(id) || question.not_these.contains(id);
    });
    if (question.wanted > 0) {
        for (const auto& place : found->places) {
            if (question.took.size() < question.wanted) question.took.insert(place.holder.id);
        }
    } else if (question.places.empty() && !found->places.empty()) {
        question.places = std::move(found->places);
        question.met = by;
        question.met_by = way.root;
        question.waited = now() - way.asked;
        question.crossed = std::move(found->way);
    }
    if (found->last) way.outcome = found->certain ? Outcome::certain : Outcome::none;
    question.changed.pulse();
}

void Node::Impl::launch(const std::shared_ptr<Question>& question, Find find, const base::SharedBytes& payload) {
    find.number = env_.rng.next();  // so that only who saw the question can answer it
    find.round = static_cast<unsigned>(std::ranges::count(question->ways, find.root, &Question::Way::root));
    questions_[find.number] = {question, question->ways.size()};
    question->ways.push_back({find.number, find.root, now()});
    const auto key = root_key(find.object, find.root);
    kbr_.route(key, encode(find, payload), other_way(key, find.round));
}

/// The first hop to try in this round, if it is not to be KBR's own choice; the latter is round 0.
std::optional<pastry::NodeHandle> Node::Impl::other_way(const Guid& key, unsigned round) const {
    if (round == 0) return {};
    auto hops = kbr_.next_hops(key, round + 1);
    if (hops.size() > round) return std::move(hops[round].node);
    if (!hops.empty() && hops.front().node.id() == self().id) return {};
    // The root is in our leaf set, or we are in doubt who it is: by a neighbour, who may hear it, or know.
    auto near = kbr_.neighbours();
    if (!hops.empty()) std::erase_if(near, [&](const auto& node) { return node.id() == hops.front().node.id(); });
    if (near.size() < round) return {};
    std::ranges::partial_sort(near, near.begin() + round,
                              [&](const auto& a, const auto& b) { return base::closer(key, a.id(), b.id()); });
    return std::move(near[round - 1]);
}

Task<void> Node::Impl::wait_for(std::shared_ptr<Question> question, std::size_t attempt, TimePoint until) {
    const std::shared_ptr<base::Event> changed{question, &question->changed};
    while (!question->done() && question->ways[attempt].outcome == Question::Outcome::open && now() < until) {
        co_await base::wait_until(env_.clock, changed, until);
    }
}

Task<void> Node::Impl::ask(std::shared_ptr<Question> question, Find find, base::SharedBytes payload,
                           TimePoint deadline) {
    question->roots = config_.roots;
    find.asker = self();
    const auto already = find.tried;
    for (unsigned round = 0; round < question->rounds; ++round) {
        for (unsigned root = 0; root < config_.roots; ++root) {
            if (question->done() || now() >= deadline) co_return;
            if (round >= kAfterWord && question->heard_of(root)) continue;
            // Whoever knew nothing a moment ago is given one: he may be about to hear of it.
            if (round > 0 && question->heard_of(root)) {
                co_await env_.clock.sleep_until(std::min(deadline, now() + config_.quiet_period));
                if (question->done()) co_return;
            }
            find.root = root;
            if (question->wanted > 0) {
                find.count = question->wanted - static_cast<unsigned>(question->took.size());
                find.tried = already;
                for (const auto& id : question->took) find.tried.push_back(id);
            }
            launch(question, find, payload);
            const auto patience = find.send ? config_.find_timeout : config_.ask_next * (1U << round);
            co_await wait_for(question, question->ways.size() - 1, std::min(deadline, now() + patience));
        }
    }
    // All ways were tried; KBR may still hold one for a root that is being declared dead.
    const std::shared_ptr<base::Event> changed{question, &question->changed};
    while (!question->done() && !question->all_heard() && now() < deadline) {
        co_await base::wait_until(env_.clock, changed, deadline);
    }
}

// Where we have measured a holder, that is its distance. Elsewhere it is as far from who answered as that one says, and
// that one is as far as we have measured, or as it took to answer.
std::vector<Location> Node::Impl::by_our_distance(const Question& question) const {
    const auto met = question.met == self().id ? base::Duration{} : kbr_.rtt(question.met).value_or(question.waited);
    std::vector<Location> holders;
    for (const auto& place : question.places) {
        const auto known = kbr_.find(place.holder.id);
        const auto rtt = kbr_.rtt(place.holder.id);
        holders.push_back({.holder = known ? known->address : place.holder,
                           .delay = rtt ? *rtt / 2 : place.delay + met / 2,
                           .measured = rtt.has_value()});
    }
    std::ranges::stable_sort(holders, {}, &Location::delay);
    return holders;
}

Task<Result<Located>> Node::Impl::locate(Guid object, TimePoint deadline, bool trace) {
    if (own_.contains(object)) {
        Located here;
        here.holders.push_back({.holder = self(), .delay = {}, .measured = true});
        here.way.push_back(self());
        co_return here;
    }
    co_return co_await locate_others(object, {}, deadline, trace);
}

Task<Result<Located>> Node::Impl::locate_others(Guid object, Nodes failed, TimePoint deadline, bool trace) {
    if (failed.size() > kMaxTried) co_return base::Errc::bad_argument;
    const auto question = std::make_shared<Question>(env_.executor);
    const Asking asking{*this, question};
    question->not_these = {failed.begin(), failed.end()};
    const bool doubt = !failed.empty();
    Find find{.object = object, .tried = std::move(failed), .trace = trace, .doubt = doubt};
    co_await ask(question, std::move(find), base::SharedBytes{}, deadline);
    if (!question->places.empty()) {
        co_return Located{by_our_distance(*question), std::move(question->crossed), question->met_by};
    }
    co_return base::Error{question->nobody() ? Errc::not_published : Errc::roots_unreachable, object.short_hex()};
}

// A holder asks who else is one. Each root once: who follows an object asks again by and by.
Task<Result<std::vector<Location>>> Node::Impl::other_holders(Guid object, Nodes known, TimePoint deadline) {
    known.resize(std::min(known.size(), kMaxTried));
    const auto question = std::make_shared<Question>(env_.executor);
    const Asking asking{*this, question};
    question->rounds = 1;
    // An honest node on the way leaves out whom we named; one that does not must not lead us in circles.
    question->not_these = {known.begin(), known.end()};
    Find find{.object = object, .tried = std::move(known)};
    co_await ask(question, std::move(find), base::SharedBytes{}, deadline);
    if (question->places.empty() && !question->heard()) {
        co_return base::Error{Errc::roots_unreachable, object.short_hex()};
    }
    co_return by_our_distance(*question);
}

Task<Result<unsigned>> Node::Impl::send(Guid object, base::SharedBytes message, unsigned replicas, TimePoint deadline) {
    if (message.size() > base::kMaxPayloadBytes) co_return base::Errc::bad_argument;
    const auto question = std::make_shared<Question>(env_.executor);
    const Asking asking{*this, question};
    question->wanted = std::clamp<unsigned>(replicas, 1, kMaxReplicas);
    Find find{.object = object, .send = true, .asker = self(), .message = env_.rng.next()};
    if (own_.contains(object)) {
        find.tried.push_back(self().id);
        Pointer here{.publisher = self()};
        if (co_await hand_to(find, message, std::move(here))) question->took.insert(self().id);
    }
    if (question->took.size() < question->wanted) co_await ask(question, std::move(find), std::move(message), deadline);
    if (!question->took.empty()) co_return static_cast<unsigned>(question->took.size());
    co_return base::Error{question->nobody() ? Errc::not_published : Errc::roots_unreachable, object.short_hex()};
}

}  // namespace tapestry
