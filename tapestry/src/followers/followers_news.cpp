// News: verified, passed on along the edges of the tree, and compared now and then with somebody elsewhere in it.
#include <algorithm>

#include "base/hash.hpp"
#include "followers/followers_impl.hpp"
#include "wire/codec_followers.hpp"

namespace tapestry {

using base::Address;
using base::Errc;
using base::Guid;
using base::Message;
using base::NodeId;
using base::Result;
using base::Task;
using base::TimePoint;

namespace {

constexpr std::size_t kMostChecking = 8;  // bodies of one object at a time
constexpr std::size_t kMostDistrusted = 1024;
constexpr unsigned kMostWithheld = 2;

}  // namespace

// ---- giving

Task<Result<void>> Followers::Impl::post(Guid object, News news, TimePoint deadline) {
    if (news.body.empty() || news.body.size() > kMaxNewsBytes || news.sequence == 0) co_return Errc::bad_argument;
    if (const auto followed = find(object)) {
        const auto me = self();
        BASE_CO_TRY(const bool taken, co_await receive(followed, me, std::move(news)));
        (void)taken;
        co_return base::ok();
    }
    BASE_CO_TRY(const auto located, co_await dolr_.locate_others(object, {}, deadline));
    base::Error failure{Errc::unreachable, object.short_hex()};
    for (const auto& location : located.holders) {
        if (now() >= deadline) break;
        const auto timeout = std::min<base::Duration>(config_.call_timeout, deadline - now());
        const auto pushed = co_await push(location.holder, object, news, timeout);
        if (pushed && (pushed->taken || pushed->sequence >= news.sequence)) co_return base::ok();
        if (!pushed) failure = pushed.error();
    }
    co_return failure;
}

void Followers::Impl::spread(const FollowedPtr& followed, const NodeId& except) {
    const auto& tree = followed->tree;
    if (tree.parent() && tree.parent()->address.id != except) pump(followed, tree.parent()->address);
    for (const auto& child : children_of(*followed)) {
        if (child.id != except) pump(followed, child);
    }
}

void Followers::Impl::pump(const FollowedPtr& followed, const Address& neighbour) {
    const auto has = sequence_at(*followed, neighbour.id);
    if (!has || *has >= followed->newest.sequence) return;
    if (followed->pushing.insert(neighbour.id).second) tasks_.spawn(push_until_known(followed, neighbour));
}

Task<void> Followers::Impl::push_until_known(FollowedPtr followed, Address neighbour) {
    for (;;) {
        const auto has = sequence_at(*followed, neighbour.id);
        if (followed->gone || !has || *has >= followed->newest.sequence) break;
        const auto sent = followed->newest.sequence;
        const auto pushed = co_await push(neighbour, followed->object, followed->newest, config_.call_timeout);
        if (!pushed) {
            const auto& parent = followed->tree.parent();
            const bool above = parent && parent->address.id == neighbour.id;
            if (above && pushed.error() == Errc::unreachable) lose_parent(*followed);
            break;  // a child that is there hears it with the next digest
        }
        if (pushed->taken) neighbour_has(*followed, neighbour.id, sent);  // whatever else it says
        neighbour_has(*followed, neighbour.id, pushed->sequence);
        if (pushed->sequence < sent) break;
    }
    followed->pushing.erase(neighbour.id);
}

Task<Result<Pushed>> Followers::Impl::push(Address to, Guid object, News news, base::Duration timeout) {
    ++counters_.news_sent;
    counters_.news_bytes_sent += news.body.size();
    auto message = encode(Push{object, news.sequence}, std::move(news.body));
    BASE_CO_TRY(const auto answer, co_await call(std::move(to), std::move(message), timeout));
    co_return decode_pushed(answer);
}

std::optional<std::uint64_t> Followers::Impl::sequence_at(Followed& followed, const NodeId& neighbour) {
    if (const auto* child = followed.tree.child(neighbour)) return child->sequence;
    const auto& parent = followed.tree.parent();
    if (parent && parent->address.id == neighbour) return parent->standing.sequence;
    return {};
}

void Followers::Impl::neighbour_has(Followed& followed, const NodeId& neighbour, std::uint64_t sequence) {
    if (auto* child = followed.tree.child(neighbour)) child->sequence = std::max(child->sequence, sequence);
    const auto& parent = followed.tree.parent();
    if (parent && parent->address.id == neighbour) followed.tree.parent_has(sequence);
}

// ---- taking

Task<Result<Message>> Followers::Impl::on_push(Address from, Message message) {
    BASE_CO_TRY(const auto said, decode_push(message));
    const auto followed = find(said.object);
    if (!followed) co_return base::Error{Errc::not_found, said.object.short_hex()};
    Pushed pushed;
    if (said.sequence > followed->newest.sequence) {
        News news{said.sequence, std::move(message.payload)};
        BASE_CO_TRY(pushed.taken, co_await receive(followed, from.id, std::move(news)));
    } else {
        ++counters_.news_known;
    }
    neighbour_has(*followed, from.id, said.sequence);
    pushed.sequence = followed->newest.sequence;  // what is still being verified we do not have
    pump(followed, from);                         // it may be behind
    co_return encode(pushed);
}

Task<Result<bool>> Followers::Impl::receive(FollowedPtr followed, NodeId from, News news) {
    if (news.sequence <= followed->newest.sequence) co_return false;
    const auto hash = base::sha256(news.body.view());
    const std::pair checked{hash, news.sequence};
    if (followed->checking.contains(checked)) co_return false;  // the same from somebody else
    if (followed->checking.size() >= kMostChecking) co_return Errc::busy;
    followed->checking.insert(checked);
    const auto sequence = co_await check(followed, news.body);
    followed->checking.erase(checked);
    if (!sequence || *sequence != news.sequence) {
        ++counters_.news_forged;
        if (from != self()) forged(from);
        co_return sequence ? base::Error{Errc::bad_argument, "not the sequence that it was said to have"}
                           : sequence.error();
    }
    if (followed->gone || news.sequence <= followed->newest.sequence) co_return false;
    ++counters_.news_taken;
    followed->newest = std::move(news);
    followed->hash = hash;
    followed->taken_at = now();
    neighbour_has(*followed, from, *sequence);
    if (followed->tree.parent() && followed->tree.parent()->address.id == from) followed->withheld = 0;
    spread(followed, from);
    const auto told = followed->newest;  // the callback may post, or unfollow
    if (followed->on_news) followed->on_news(told);
    co_return true;
}

Task<Result<std::uint64_t>> Followers::Impl::check(FollowedPtr followed, base::SharedBytes body) {
    auto job = [verify = followed->verify, object = followed->object, bytes = std::move(body)] {
        return verify(object, bytes.view());
    };
    return env_.workers.run(std::move(job));
}

bool Followers::Impl::distrusted(const NodeId& peer) const {
    const auto found = distrust_.find(peer);
    return found != distrust_.end() && now() < found->second.until;
}

void Followers::Impl::forged(const NodeId& peer) {
    if (distrust_.size() >= kMostDistrusted && !distrust_.contains(peer)) {
        distrust_.erase(std::ranges::min_element(distrust_, {}, [](const auto& each) { return each.second.until; }));
    }
    auto& distrust = distrust_[peer];
    if (++distrust.forged < config_.forged_forgiven) return;
    distrust = {.until = now() + config_.penalty};
}

// ---- comparing

// Whether somebody elsewhere in the tree, or in another, knows more than we do: a torn tree is found, and a parent that
// keeps news back.
Task<void> Followers::Impl::compare(FollowedPtr followed) {
    const auto jitter = 0.75 + env_.rng.unit() / 2;
    followed->compare_at = now() + std::chrono::duration_cast<base::Duration>(config_.compare_period * jitter);
    const auto whom = co_await somebody(followed);
    if (!whom || followed->gone) co_return;
    auto message = encode(Look{followed->object, followed->tree.rank(), followed->newest.sequence, true});
    const auto answer = co_await call(*whom, std::move(message), config_.call_timeout);
    const auto elsewhere = answer ? decode_view(*answer) : Result<View>{answer.error()};
    if (!elsewhere) {
        std::erase_if(followed->known, [&](const Address& one) { return one.id == whom->id; });
        co_return;
    }
    remember(*followed, *whom);
    heard_of_tree(*followed, elsewhere->standing.rank, *whom);
    if (!answer->payload.empty()) {
        News news{elsewhere->standing.sequence, answer->payload};
        const auto taken = co_await receive(followed, whom->id, std::move(news));
        if (taken && *taken) parent_kept_back(*followed, *elsewhere);
    } else if (elsewhere->standing.sequence < followed->newest.sequence) {
        (void)co_await push(*whom, followed->object, followed->newest, config_.call_timeout);
    }
}

Task<std::optional<Address>> Followers::Impl::somebody(FollowedPtr followed) {
    auto some = followed->known;
    const auto neighbour = [&](const Address& one) { return sequence_at(*followed, one.id).has_value(); };
    std::erase_if(some, neighbour);
    if (some.empty() || env_.rng.below(2) == 0) {
        auto others = co_await some_others(followed);
        std::erase_if(others, neighbour);
        if (!others.empty()) some = std::move(others);
    }
    if (some.empty()) co_return std::nullopt;
    co_return some[env_.rng.below(some.size())];
}

// Somebody has had it for longer than news takes, and our parent had not told. Once may be chance: it may have lost its
// own.
void Followers::Impl::parent_kept_back(Followed& followed, const View& elsewhere) {
    ++counters_.found_missing;
    const auto& parent = followed.tree.parent();
    const base::Duration enough = config_.digest_period / 2;
    if (!parent || elsewhere.age < enough || now() - parent->since < elsewhere.age + enough) return;
    if (++followed.withheld < kMostWithheld) return;
    followed.withheld = 0;
    std::erase_if(followed.avoided, [&](const auto& each) { return each.second <= now(); });
    followed.avoided[parent->address.id] = now() + config_.penalty;
    lose_parent(followed);
}

}  // namespace tapestry
