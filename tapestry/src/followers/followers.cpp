#include "tapestry/followers.hpp"

#include <algorithm>

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

Followers::Impl::Impl(base::NodeEnv env, Dolr& dolr, IsMember is_member, FollowersConfig config)
    : env_{env}, dolr_{dolr}, is_member_{std::move(is_member)}, config_{config}, tasks_{env.executor} {
    env_.transport.serve(
        base::Service::followers,
        [this](base::Peer from, Message message) { return on_request(std::move(from), std::move(message)); },
        [this](const base::Peer& from, const Message& message) { on_notice(from, message); });
}

Followers::Impl::~Impl() { env_.transport.serve(base::Service::followers, {}, {}); }

Task<void> Followers::Impl::stop() {
    tasks_.cancel();
    co_await tasks_.join();
}

Result<void> Followers::Impl::follow(const Guid& object, Verifier verify, OnNews on_news) {
    if (followed_.contains(object)) return base::Error{Errc::exists, object.short_hex()};
    if (followed_.size() >= config_.max_followed) return base::Error{Errc::busy, "too many objects followed"};
    FollowTree::Limits limits;
    limits.children = config_.max_children;
    limits.silence = config_.digest_period * 9 / 4;  // two digests, and the way of one
    const auto followed = std::make_shared<Followed>(object, FollowTree{self(), limits, now()}, env_.executor);
    followed->verify = std::move(verify);
    followed->on_news = std::move(on_news);
    followed->improve_after = config_.improve_first;
    followed->compare_at = now() + config_.compare_period;
    followed->look_after = config_.digest_period / 2;
    followed->seek_after = config_.digest_period / 4;
    followed_.emplace(object, followed);
    dolr_.publish({object});
    tasks_.spawn(keep_place(followed));
    tasks_.spawn(send_digests(followed));
    return base::ok();
}

void Followers::Impl::unfollow(const Guid& object) {
    const auto followed = find(object);
    if (!followed) return;
    followed_.erase(object);
    followed->gone = true;
    dolr_.unpublish({object});
    Address parent;
    if (followed->tree.parent()) parent = followed->tree.parent()->address;
    if (!parent.id.is_zero()) tell_left(*followed, parent, {});
    for (const auto& [id, child] : followed->tree.children()) tell_left(*followed, child.address, parent);
    followed->place_wake->pulse();
    followed->digest_wake->pulse();
}

std::optional<News> Followers::Impl::newest(const Guid& object) const {
    const auto followed = find(object);
    if (!followed || followed->newest.sequence == 0) return {};
    return followed->newest;
}

std::optional<Followers::Place> Followers::Impl::place(const Guid& object) const {
    const auto followed = find(object);
    if (!followed) return {};
    const auto& tree = followed->tree;
    Place place;
    if (tree.parent()) place.parent = tree.parent()->address.id;
    for (const auto& [id, child] : tree.children()) place.children.push_back(id);
    place.top = tree.top();
    place.depth = tree.rank().depth;
    place.delay = tree.delay();
    place.round = tree.rank().round;
    return place;
}

FollowersStatus Followers::Impl::status() const {
    auto status = counters_;
    status.followed = followed_.size();
    for (const auto& [object, followed] : followed_) status.children += followed->tree.children().size();
    return status;
}

// ---- what others ask

Task<Result<Message>> Followers::Impl::call(Address to, Message message, base::Duration timeout) {
    if (!is_member_(to.id)) co_return Errc::not_a_member;
    const auto deadline = now() + timeout;
    co_return co_await env_.transport.request(std::move(to), std::move(message), deadline);
}

Followers::Impl::FollowedPtr Followers::Impl::find(const Guid& object) const {
    const auto found = followed_.find(object);
    return found == followed_.end() ? nullptr : found->second;
}

Task<Result<Message>> Followers::Impl::on_request(base::Peer from, Message message) {
    if (!is_member_(from.address.id) || distrusted(from.address.id)) {
        ++counters_.refused;
        co_return Errc::denied;
    }
    auto answered = co_await answer(std::move(from.address), std::move(message));
    if (!answered && answered.error() == Errc::bad_format) ++counters_.refused;
    co_return answered;
}

Task<Result<Message>> Followers::Impl::answer(Address from, Message message) {
    switch (static_cast<FollowVerb>(message.verb())) {
        case FollowVerb::look: co_return on_look(from, message);
        case FollowVerb::attach: co_return on_attach(from, message);
        case FollowVerb::digest: co_return on_digest(from, message);
        case FollowVerb::push: co_return co_await on_push(std::move(from), std::move(message));
        case FollowVerb::leave: break;
    }
    co_return Errc::unsupported;
}

Result<Message> Followers::Impl::on_look(const Address& from, const Message& message) {
    BASE_TRY(const auto look, decode_look(message));
    const auto followed = find(look.object);
    if (!followed) return base::Error{Errc::not_found, look.object.short_hex()};
    heard_of_tree(*followed, look.rank, from);
    return encode(view(*followed), look.want ? newer(*followed, look.sequence) : base::SharedBytes{});
}

Result<Message> Followers::Impl::on_attach(const Address& from, const Message& message) {
    BASE_TRY(const auto request, decode_attach(message));
    const auto followed = find(request.object);
    if (!followed) return base::Error{Errc::not_found, request.object.short_hex()};
    if (from.endpoint.empty()) return base::Error{Errc::bad_argument, "a follower that nobody can dial"};
    const auto& parent = followed->tree.parent();
    if (parent && parent->address.id == from.id) lose_parent(*followed);  // it began anew
    AttachReply reply{judge(*followed, from, request), {}};
    if (reply.verdict != Verdict::welcome) {
        reply.view = view(*followed);
        return encode(reply, {});
    }
    if (followed->tree.take_child(from, request.sequence, request.children)) followed->digest_wake->pulse();
    remember(*followed, from);
    reply.view = view(*followed);
    return encode(reply, newer(*followed, request.sequence));
}

Verdict Followers::Impl::judge(Followed& followed, const Address& from, const Attach& request) const {
    const auto verdict = followed.tree.judge(from.id, request.rank, request.children);
    if (verdict != Verdict::welcome || followed.tree.child(from.id) != nullptr) return verdict;
    const auto attached = std::ranges::count_if(
        followed_, [&](const auto& each) { return each.second->tree.children().contains(from.id); });
    return static_cast<std::size_t>(attached) < config_.max_objects_per_peer ? verdict : Verdict::too_many;
}

void Followers::Impl::on_notice(const base::Peer& from, const Message& message) {
    const auto& id = from.address.id;
    if (message.verb() != static_cast<std::uint8_t>(FollowVerb::leave) || !is_member_(id) || distrusted(id)) return;
    const auto leave = decode_leave(message);
    const auto followed = leave ? find(leave->object) : nullptr;
    if (!followed || !sequence_at(*followed, id)) return;  // no neighbour of ours
    auto& tree = followed->tree;
    // A child that left to be the top says so once: stories of others do not make us deaf to that.
    if (tree.child(id) != nullptr) {
        followed->seek_after = std::min<base::Duration>(followed->seek_after, config_.digest_period / 4);
    }
    tree.drop_child(id);
    if (!leave->to.id.is_zero()) hint(*followed, leave->to);
    if (tree.parent() && tree.parent()->address.id == id) lose_parent(*followed);
    heard_of_tree(*followed, leave->rank, from.address);
}

Standing Followers::Impl::standing(const Followed& followed) const {
    const auto& tree = followed.tree;
    Standing standing{.rank = tree.rank(), .path = tree.path(), .delay = tree.delay()};
    standing.sequence = followed.newest.sequence;
    standing.hash = followed.hash;
    if (tree.parent()) standing.parent = tree.parent()->address;
    return standing;
}

View Followers::Impl::view(const Followed& followed) const {
    View view{.standing = standing(followed), .room = followed.tree.room(), .yielding = followed.tree.yielding()};
    for (const auto& [id, child] : followed.tree.children()) view.children.push_back(child.address);
    view.age = now() - followed.taken_at;
    return view;
}

base::SharedBytes Followers::Impl::newer(const Followed& followed, std::uint64_t than) {
    return followed.newest.sequence > than ? followed.newest.body : base::SharedBytes{};
}

void Followers::Impl::tell_left(const Followed& followed, const Address& neighbour, const Address& to) {
    if (!is_member_(neighbour.id)) return;
    env_.transport.notify(neighbour, encode(Leave{followed.object, followed.tree.rank(), to}));
}

// ---- the face

Followers::Followers(base::NodeEnv env, Dolr& dolr, IsMember is_member, FollowersConfig config)
    : impl_{std::make_unique<Impl>(env, dolr, std::move(is_member), config)} {}
Followers::~Followers() = default;

Task<void> Followers::stop() { return impl_->stop(); }
Result<void> Followers::follow(const Guid& object, Verifier verify, OnNews on_news) {
    return impl_->follow(object, std::move(verify), std::move(on_news));
}
void Followers::unfollow(const Guid& object) { impl_->unfollow(object); }
Task<Result<void>> Followers::post(Guid object, News news, TimePoint deadline) {
    return impl_->post(object, std::move(news), deadline);
}
std::optional<News> Followers::newest(const Guid& object) const { return impl_->newest(object); }
std::optional<Followers::Place> Followers::place(const Guid& object) const { return impl_->place(object); }
FollowersStatus Followers::status() const { return impl_->status(); }

}  // namespace tapestry
