// The way of a message: out of the sender's door, over the modelled network, into the receiver.
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "cancellation.hpp"
#include "incarnation.hpp"
#include "network_state.hpp"
#include "world_state.hpp"

namespace base::sim {

namespace {

using Kind = Delivery::Kind;

constexpr Duration kFirstRetry = std::chrono::milliseconds{200};  // of a connection whose segment was lost
constexpr Duration kLongestRetry = std::chrono::seconds{10};
constexpr std::size_t kMostTries = 64;

Duration retry_after(std::uint32_t tries) {
    return std::min(kLongestRetry, kFirstRetry * (std::int64_t{1} << std::min(tries, 10U)));
}

std::uint64_t pair_of(NodeIndex from, NodeIndex to) { return (std::uint64_t{from} << 32U) | to; }

std::uint64_t fingerprint(const Delivery& delivery) {
    std::uint64_t hash = mix(pair_of(delivery.from, delivery.to), (delivery.request << 24U) |
                                                                      (std::uint64_t{delivery.message.kind} << 8U) |
                                                                      static_cast<std::uint64_t>(delivery.kind));
    hash = mix(hash, delivery.message.header);
    hash = mix(hash, delivery.message.payload.view());
    if (delivery.error) hash = mix(hash, static_cast<std::uint64_t>(delivery.error->code().value()));
    return hash;
}

Delivery copy_of(const Delivery& delivery) {
    Delivery copy;
    copy.kind = delivery.kind;
    copy.from = delivery.from;
    copy.to = delivery.to;
    copy.message = delivery.message;
    return copy;
}

}  // namespace

Network::State::State(WorldState& world_in)
    : world{world_in}, rng{world_in.seed_for("network")}, pair_seed{world_in.seed_for("pairs")} {}

Network::State::Counter& Network::State::counter(NodeIndex node) {
    static Counter ignored;  // of the tester
    if (node >= world.nodes.size()) return ignored;
    if (node >= counters.size()) counters.resize(world.nodes.size());
    return counters[node];
}

bool Network::State::lost(NodeIndex from, NodeIndex to) {
    double share = loss;
    if (!pair_loss.empty()) {
        const auto found = pair_loss.find(pair_of(from, to));
        if (found != pair_loss.end()) share = found->second;
    }
    return rng.chance(share);
}

Duration Network::State::time_on_links(const Delivery& delivery) {
    if (links.empty()) return {};
    const auto size = static_cast<double>(delivery.message.size() + 64);  // frame and segment headers, roughly
    TimePoint when = world.now;
    const auto pass = [&](NodeIndex node, TimePoint Link::* free) {
        const auto found = links.find(node);
        if (found == links.end() || found->second.bytes_per_second == 0) return;
        auto& link = found->second;
        const double seconds = size / static_cast<double>(link.bytes_per_second);
        when = std::max(when, link.*free) + Duration{std::llround(seconds * 1e9)};
        link.*free = when;
    };
    pass(delivery.from, &Link::up_free);
    pass(delivery.to, &Link::down_free);
    return when - world.now;
}

bool Network::State::passes_liar(NodeIndex liar, Delivery& delivery) {
    const auto found = liars.find(liar);
    if (found == liars.end() || delivery.kind == Kind::refused) return true;
    Letter letter;
    letter.kind = delivery.kind == Kind::notify    ? Letter::Kind::notify
                  : delivery.kind == Kind::request ? Letter::Kind::request
                                                   : Letter::Kind::answer;
    letter.from = delivery.from;
    letter.to = delivery.to;
    if (delivery.error) {
        letter.content = *delivery.error;
    } else {
        letter.content = std::move(delivery.message);
    }
    const auto hook = found->second;  // it may replace itself
    hook(letter);
    if (letter.answer && delivery.kind == Kind::request) {
        Delivery answer;
        answer.kind = Kind::answer;
        answer.from = delivery.to;
        answer.to = delivery.from;
        answer.request = delivery.request;
        answer.give_up = delivery.give_up;
        if (*letter.answer) {
            answer.message = std::move(**letter.answer);
        } else {
            answer.error = std::make_unique<Error>(letter.answer->error());
        }
        launch(std::move(answer), world.network->latency(delivery.to, delivery.from));
        return false;
    }
    if (letter.drop) return false;
    delivery.error = letter.content ? nullptr : std::make_unique<Error>(letter.content.error());
    if (letter.content) delivery.message = std::move(*letter.content);
    return true;
}

void Network::State::send(Delivery delivery) {
    const NodeIndex from = delivery.from;
    const NodeIndex to = delivery.to;
    if (from == to) return schedule(world.now, std::move(delivery));
    auto& count = counter(from);
    count.traffic.bytes_sent += delivery.message.size();
    if (!liars.empty() && !passes_liar(from, delivery)) return;
    Duration way = world.network->latency(from, to);
    if (delivery.kind != Kind::notify) {
        // A connection sends a lost segment again: the call is late, not lost.
        for (std::uint32_t tries = 0; lost(from, to) && tries < kMostTries; ++tries) way += retry_after(tries);
        return launch(std::move(delivery), way);
    }
    if (lost(from, to)) {
        ++count.traffic.messages_lost;
        return;
    }
    if (rng.chance(duplication)) launch(copy_of(delivery), way + Duration{std::llround(rng.draw_unit() * 1e8)});
    if (rng.chance(reordering)) {
        way += Duration{std::llround(rng.draw_unit() * static_cast<double>(longest_delay.count()))};
    }
    launch(std::move(delivery), way);
}

void Network::State::launch(Delivery delivery, Duration way) {
    if (!clogged.empty()) {
        const auto found = clogged.find(pair_of(delivery.from, delivery.to));
        if (found != clogged.end()) {
            found->second.push_back(std::move(delivery));
            return;
        }
    }
    if (!clogged_nodes.empty() && (clogged_nodes.contains(delivery.from) || clogged_nodes.contains(delivery.to))) {
        held_by_nodes.push_back(std::move(delivery));
        return;
    }
    if (jitter > 0) way += Duration{std::llround(static_cast<double>(way.count()) * jitter * rng.draw_unit())};
    way += time_on_links(delivery);
    schedule(world.now + way, std::move(delivery));
}

void Network::State::schedule(TimePoint when, Delivery delivery) {
    ScheduledEvent event;
    event.delivery = std::move(delivery);
    world.queue.add(when, std::move(event));
}

void Network::break_connections(Incarnation& process, bool refuse) {
    auto& serving = process.transport.serving;
    if (refuse && state_->refuses) {
        for (const auto& [request, caller] : serving) {
            Delivery reset;
            reset.kind = Kind::refused;
            reset.from = process.node.index();
            reset.to = caller;
            reset.request = request;
            const auto way = latency(reset.from, caller);
            state_->launch(std::move(reset), way);
        }
    }
    serving.clear();
}

void Network::deliver(Delivery& delivery) {
    auto& world = state_->world;
    const NodeIndex to = delivery.to;
    if (!connected(delivery.from, to)) {
        const auto later = world.now + retry_after(delivery.tries);
        if (delivery.kind == Kind::notify || delivery.kind == Kind::refused || later > delivery.give_up) {
            ++state_->counter(delivery.from).traffic.messages_lost;
            return;
        }
        ++delivery.tries;
        state_->schedule(later, std::move(delivery));
        return;
    }
    if (delivery.from != to && !state_->liars.empty() && !state_->passes_liar(to, delivery)) return;
    Node& node = world.owner.node(to);
    if (!node.up()) {
        if (delivery.kind != Kind::request || !node.powered() || !state_->refuses) return;
        Delivery refusal;
        refusal.kind = Kind::refused;
        refusal.from = to;
        refusal.to = delivery.from;
        refusal.request = delivery.request;
        const auto way = latency(to, delivery.from);
        state_->launch(std::move(refusal), way);
        return;
    }
    world.note(fingerprint(delivery));
    state_->counter(to).traffic.bytes_received += delivery.message.size();
    if (node.paused()) {
        auto* process = node.incarnation_;
        process->parked.emplace_back(
            [process, delivery = std::move(delivery)]() mutable { process->transport.receive(delivery); });
        return;
    }
    auto* const process = node.incarnation_;
    auto* const before = std::exchange(world.current, process);
    try {
        process->transport.receive(delivery);
    } catch (...) {
        if (!is_cancellation(std::current_exception())) world.fail(std::current_exception());
    }
    world.current = before;
}

}  // namespace base::sim
