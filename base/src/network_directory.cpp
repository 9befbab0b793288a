#include "base/network_directory.hpp"

#include <algorithm>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"

namespace base {
namespace {

constexpr const char* kFolder = "network";
constexpr const char* kKeyFile = "network/node.key";
constexpr const char* kIdentityFile = "network/identity";
constexpr const char* kPolicyFile = "network/policy";
constexpr const char* kRosterFile = "network/roster";
constexpr const char* kIssuerFile = "network/issuer";
constexpr const char* kSeedsFile = "network/seeds";
constexpr std::uint8_t kFileVersion = 1;
constexpr std::size_t kMaxSmallFile = 1U << 20U;
constexpr std::size_t kMaxRosterFile = 16U << 20U;
constexpr std::size_t kMaxIssuerFile = 16U << 20U;  // kMaxInvitations with their certificates, and room
constexpr std::size_t kMaxInvitations = 10'000;
constexpr std::size_t kMaxSeeds = 64;
constexpr std::size_t kMaxCertificateBytes = 1024;
constexpr const char* kRestore = " (restore it from a copy, or 'pelago network leave --force' and join again)";
constexpr std::string_view kAuthorityMagic = "PLA1";
/// What an authority that is given up with its machine may still have signed there stays below.
constexpr std::uint64_t kTakeOverStep = std::uint64_t{1} << 20U;
constexpr std::int64_t kCertificateLifetimeNs = std::int64_t{86'400} * 1'000'000'000 * 3650;  // ten years

/// Every small file ends in the SHA-256 of what precedes it: these are not re-derivable, so rot must not pass unseen.
Bytes with_checksum(Bytes content) {
    const auto digest = sha256(content);
    content.insert(content.end(), digest.bytes().begin(), digest.bytes().end());
    return content;
}

Result<void> save(Disk& disk, const char* path, Bytes content) {
    return replace_file(disk, path, with_checksum(std::move(content)));
}

Result<Bytes> load(Disk& disk, const char* path, std::size_t limit = kMaxSmallFile) {
    BASE_TRY(auto bytes, read_file(disk, path, limit));
    const Error rotten{Errc::corrupt, std::string{path} + kRestore};
    if (bytes.size() < Guid::kBytes) return rotten;
    const auto content = ByteView{bytes}.first(bytes.size() - Guid::kBytes);
    if (!std::ranges::equal(sha256(content).view(), ByteView{bytes}.last(Guid::kBytes))) return rotten;
    bytes.resize(content.size());
    return bytes;
}

Error damaged(const char* path) { return {Errc::corrupt, path}; }

/// Of a file that is there if the identity is, which is written last.
Result<Bytes> load_beside_identity(Disk& disk, const char* path, std::size_t limit = kMaxSmallFile) {
    auto bytes = load(disk, path, limit);
    if (bytes || bytes.error() != Errc::not_found) return bytes;
    return Error{Errc::corrupt, std::string{path} + " is missing" + kRestore};
}

Result<SigningKey> key_of(const Bytes& bytes) {
    if (bytes.size() != Key{}.size()) return damaged(kKeyFile);
    Key seed;
    std::copy(bytes.begin(), bytes.end(), seed.begin());
    return SigningKey{seed};
}

Result<SigningKey> load_key(Disk& disk) {
    BASE_TRY(const auto bytes, load(disk, kKeyFile));
    return key_of(bytes);
}

Result<void> save_key(Disk& disk, const SigningKey& key) {
    BASE_CHECK(disk.make_directory(kFolder));
    BASE_CHECK(disk.sync_directory(""));
    return save(disk, kKeyFile, to_bytes(key.seed()));
}

Result<void> verify(const Policy& policy, const Guid& network, const PublicKey& authority) {
    if (policy.network != network || !verify_signature(authority, "pelago policy", policy.body(), policy.signature)) {
        return Error{Errc::bad_signature, "a network policy that the authority did not sign"};
    }
    return policy.check();
}

Result<void> verify(const Roster& roster, const Guid& network, const PublicKey& authority) {
    if (roster.network != network || !verify_signature(authority, "pelago roster", roster.body(), roster.signature)) {
        return Error{Errc::bad_signature, "a network roster that the authority did not sign"};
    }
    return ok();
}

Result<void> check_name(std::string_view name) {
    if (name.empty() || name.size() > kMaxNameBytes)
        return Error{Errc::bad_argument, "a network name has 1 to 255 bytes"};
    return ok();
}

}  // namespace

Result<SigningKey> NetworkDirectory::prepare_join(Disk& disk, Rng& rng) {
    if (auto known = load_key(disk); known || known.error() != Errc::not_found) return known;
    const SigningKey key{rng.secret()};
    BASE_CHECK(save_key(disk, key));
    return key;
}

Result<NetworkDirectory> NetworkDirectory::create(Disk& disk, Rng& rng, std::string_view name, const SigningKey& key,
                                                  const Key& salt, const Wish& wish, Policy policy,
                                                  std::int64_t wall_ns) {
    BASE_CHECK(check_name(name));
    BASE_CHECK(policy.check());
    const auto present = open(disk);
    if (present) return Error{Errc::exists, "this node already belongs to a network"};
    if (present.error() != Errc::not_found) return present.error();
    BASE_CHECK(save_key(disk, key));
    NetworkDirectory self{disk, key};
    self.name_ = name;
    self.issuer_.emplace(Issuer{SigningKey{rng.secret()}, 1, {}});
    self.authority_ = self.issuer_->key.public_key();
    const auto network = network_id(self.authority_, name);
    self.certificate_.network = network;
    self.certificate_ = self.issue(key.public_key(), salt, wish, wall_ns);
    policy.version = 1;
    policy.network = network;
    policy.signature = self.issuer_->key.sign("pelago policy", policy.body());
    self.policy_ = policy;
    self.roster_.network = network;
    self.roster_.seat = self.certificate_.id();
    BASE_CHECK(save(disk, kPolicyFile, self.policy_.encode()));
    BASE_CHECK(self.enroll(self.certificate_));
    BASE_CHECK(self.save_issuer());
    BASE_CHECK(self.save_identity());  // last: its presence says that all the others are there
    return self;
}

Result<NetworkDirectory> NetworkDirectory::finish_join(Disk& disk, const Token& token, const Admission& admission,
                                                       const SigningKey& key, std::int64_t wall_ns) {
    BASE_CHECK(check_name(admission.network_name));
    const auto present = open(disk);
    if (present) return Error{Errc::exists, "this node already belongs to a network"};
    if (present.error() != Errc::not_found) return present.error();
    if (network_id(token.authority, admission.network_name) != token.network) {
        return Error{Errc::not_a_member, "the issuer answered for another network"};
    }
    BASE_CHECK(check_certificate(admission.certificate, token.network, token.authority, wall_ns));
    if (admission.certificate.key != key.public_key()) {
        return Error{Errc::not_a_member, "the issuer answered with somebody else's certificate"};
    }
    BASE_CHECK(verify(admission.policy, token.network, token.authority));
    BASE_CHECK(verify(admission.roster, token.network, token.authority));
    NetworkDirectory self{disk, key};
    self.name_ = admission.network_name;
    self.authority_ = token.authority;
    self.certificate_ = admission.certificate;
    self.policy_ = admission.policy;
    self.roster_ = admission.roster;
    BASE_CHECK(save(disk, kPolicyFile, self.policy_.encode()));
    BASE_CHECK(save(disk, kRosterFile, self.roster_.encode()));
    BASE_CHECK(self.remember_seeds({Address{token.issuer, token.issuer_endpoint}}));
    BASE_CHECK(self.save_identity());
    return self;
}

Result<NetworkDirectory> NetworkDirectory::open(Disk& disk) {
    // Whoever knows other members has joined: without its identity it would be taken for one that never did.
    const bool has_joined = load(disk, kSeedsFile).has_value();
    BASE_TRY(const auto identity, has_joined ? load_beside_identity(disk, kIdentityFile) : load(disk, kIdentityFile));
    BASE_TRY(const auto key_bytes, load_beside_identity(disk, kKeyFile));
    BASE_TRY(const auto key, key_of(key_bytes));
    NetworkDirectory self{disk, key};
    Reader in{identity};
    const auto version = in.u8();
    self.name_ = in.text(kMaxNameBytes);
    self.authority_ = in.array<32>();
    const auto certificate = in.bytes(kMaxCertificateBytes);
    if (version > kFileVersion) return Error{Errc::unsupported, std::string{kIdentityFile} + " of a later version"};
    if (!in.complete()) return damaged(kIdentityFile);
    BASE_TRY(self.certificate_, Certificate::decode(certificate));
    if (self.certificate_.key != key.public_key()) return damaged(kKeyFile);

    BASE_TRY(const auto policy, load_beside_identity(disk, kPolicyFile));
    BASE_TRY(self.policy_, Policy::decode(policy));
    BASE_CHECK(verify(self.policy_, self.network(), self.authority_));
    BASE_TRY(const auto roster, load_beside_identity(disk, kRosterFile, kMaxRosterFile));
    BASE_TRY(self.roster_, Roster::decode(roster));
    BASE_CHECK(verify(self.roster_, self.network(), self.authority_));

    if (const auto issuer = load(disk, kIssuerFile, kMaxIssuerFile)) {
        Reader state{*issuer};
        const auto state_version = state.u8();
        self.issuer_.emplace(Issuer{SigningKey{state.array<32>()}, state.u64(), {}});
        const auto count = state.u32();
        if (state_version != kFileVersion || count > kMaxInvitations || !state.fits(count, 42)) {
            return damaged(kIssuerFile);
        }
        for (std::uint32_t i = 0; i < count; ++i) {
            Invitation invitation;
            invitation.secret_hash = state.guid();
            invitation.not_after_ns = state.i64();
            if (state.u8() == 1) invitation.spent_by = state.array<32>();
            invitation.certificate = to_bytes(state.bytes(kMaxCertificateBytes));
            self.issuer_->invitations.push_back(std::move(invitation));
        }
        if (!state.complete()) return damaged(kIssuerFile);
    } else if (issuer.error() != Errc::not_found) {
        return issuer.error();
    }

    if (const auto seeds = load(disk, kSeedsFile)) {  // a help only: a damaged one is done without
        Reader list{*seeds};
        const auto count = std::min<std::uint64_t>(list.varint(), kMaxSeeds);
        for (std::uint64_t i = 0; i < count && list.ok(); ++i) {
            const auto id = list.guid();
            auto endpoint = list.text(kMaxEndpointBytes);
            if (list.ok()) self.seeds_.push_back(Address{id, std::move(endpoint)});
        }
    }
    return self;
}

Result<void> NetworkDirectory::save_identity() {
    Writer out;
    out.u8(kFileVersion).text(name_).raw(authority_).bytes(certificate_.encode());
    return save(*disk_, kIdentityFile, out.take());
}

Result<void> NetworkDirectory::save_issuer() {
    Writer out;
    out.u8(kFileVersion).raw(issuer_->key.seed()).u64(issuer_->next_serial);
    out.u32(static_cast<std::uint32_t>(issuer_->invitations.size()));
    for (const auto& invitation : issuer_->invitations) {
        out.guid(invitation.secret_hash).i64(invitation.not_after_ns).u8(invitation.spent_by ? 1 : 0);
        if (invitation.spent_by) out.raw(*invitation.spent_by);
        out.bytes(invitation.certificate);
    }
    return save(*disk_, kIssuerFile, out.take());
}

Certificate NetworkDirectory::issue(const PublicKey& key, const Key& salt, const Wish& wish, std::int64_t wall_ns) {
    Certificate certificate;
    certificate.network = certificate_.network;
    certificate.key = key;
    certificate.salt = salt;
    certificate.role = wish.role;
    certificate.failure_domain = wish.failure_domain;
    certificate.capacity_bytes = wish.capacity_bytes;
    certificate.ring_eligible = wish.role == Role::storage;
    for (const auto& member : roster_.members) {  // also those that were admitted where the authority acted before
        issuer_->next_serial = std::max(issuer_->next_serial, member.serial + 1);
    }
    certificate.serial = issuer_->next_serial++;
    certificate.not_before_ns = wall_ns;
    certificate.not_after_ns = wall_ns + kCertificateLifetimeNs;
    certificate.signature = issuer_->key.sign("pelago certificate", certificate.body());
    return certificate;
}

Result<void> NetworkDirectory::enroll(const Certificate& certificate) {
    Roster next = roster_;
    const auto place = std::ranges::lower_bound(next.members, certificate.id(), {}, &Roster::Member::id);
    if (place != next.members.end() && place->id == certificate.id()) return ok();
    Roster::Member member;
    member.id = certificate.id();
    member.role = certificate.role;
    member.failure_domain = certificate.failure_domain;
    // In the order of enrolment, also for a certificate whose enrolment failed at first: registers count on it.
    member.serial = certificate.serial;
    for (const auto& earlier : next.members) member.serial = std::max(member.serial, earlier.serial + 1);
    next.members.insert(place, std::move(member));
    ++next.version;
    sign(next);
    return keep(std::move(next));
}

void NetworkDirectory::sign(Roster& roster) const {
    roster.signature = issuer_->key.sign("pelago roster", roster.body());
}

Result<void> NetworkDirectory::keep(Roster roster) {
    BASE_CHECK(save(*disk_, kRosterFile, roster.encode()));
    roster_ = std::move(roster);
    return ok();
}

// --- removing members, and where the authority acts

/// Why this node does not sign.
Error NetworkDirectory::not_here(const char* what) const {
    const auto acts = "node " + roster_.seat.short_hex();
    if (issuer_) return {Errc::denied, std::string{what} + ": the authority acts on " + acts + " now"};
    return {Errc::denied, std::string{what} + ": the authority's key is not here but on " + acts +
                              " ('pelago network authority export' there and 'import' here copy it)"};
}

Result<void> NetworkDirectory::remove(const NodeId& node) {
    if (!issuer_) return not_here("cannot remove a member");
    const auto* member = roster_.find(node);
    if (member == nullptr) return Error{Errc::not_found, "node " + node.short_hex() + " is no member"};
    if (node == certificate_.id()) return Error{Errc::bad_argument, "this is the node itself"};
    const bool takes_over = roster_.seat == node;
    if (!acts_here() && !takes_over) return not_here("cannot remove a member");
    if (member->revoked && !takes_over) return ok();
    if (takes_over) BASE_CHECK(take_over());
    Roster next = roster_;
    const auto removed = std::ranges::lower_bound(next.members, node, {}, &Roster::Member::id);
    removed->revoked = true;
    removed->draining = false;
    next.version += takes_over ? kTakeOverStep : 1;
    next.seat = certificate_.id();
    sign(next);
    return keep(std::move(next));
}

Result<void> NetworkDirectory::drain(const NodeId& node, bool on) {
    if (!acts_here()) return not_here("cannot drain a member");
    const auto* member = roster_.find(node);
    if (member == nullptr || member->revoked)
        return Error{Errc::not_found, "node " + node.short_hex() + " is no member"};
    if (member->role != Role::storage) return Error{Errc::bad_argument, "a client keeps nothing that could be moved"};
    if (member->draining == on) return ok();
    const auto left = roster_.holders() - (on ? 1 : 0);
    if (on && left < policy_.min_copies) {
        return Error{Errc::denied, std::to_string(left) + " of the members would be left to hold copies, and " +
                                       std::to_string(policy_.min_copies) +
                                       " copies are the least ('pelago network policy --min-copies'): add a machine "
                                       "first"};
    }
    Roster next = roster_;
    std::ranges::lower_bound(next.members, node, {}, &Roster::Member::id)->draining = on;
    ++next.version;
    sign(next);
    return keep(std::move(next));
}

/// The policy also moves on so far that nothing signed where the authority acted before comes after it.
Result<void> NetworkDirectory::take_over() {
    auto policy = policy_;
    policy.version += kTakeOverStep;
    policy.signature = issuer_->key.sign("pelago policy", policy.body());
    BASE_CHECK(adopt(policy));
    return ok();
}

Result<Roster> NetworkDirectory::propose_seat() const {
    if (!issuer_) return not_here("cannot act for the network");
    Roster next = roster_;
    ++next.version;
    next.seat = certificate_.id();
    sign(next);
    return next;
}

Result<bool> NetworkDirectory::hand_over(const Roster& next) {
    if (roster_.seat != certificate_.id() || next.version != roster_.version + 1) return false;
    auto same = roster_;
    same.version = next.version;
    same.seat = next.seat;
    const auto* heir = roster_.find(next.seat);
    if (same.body() != next.body() || heir == nullptr || heir->revoked) return false;
    return adopt(next);
}

Result<Bytes> NetworkDirectory::export_authority() const {
    if (!issuer_) return not_here("cannot export the authority");
    Writer out;
    out.raw(as_bytes(kAuthorityMagic)).text(name_).raw(issuer_->key.seed());
    return with_checksum(out.take());
}

Result<void> NetworkDirectory::import_authority(ByteView file) {
    const Error malformed{Errc::bad_format, "this is not the file of a network's authority"};
    if (file.size() < Guid::kBytes) return malformed;
    const auto content = file.first(file.size() - Guid::kBytes);
    Reader in{content};
    if (as_text(in.raw(kAuthorityMagic.size())) != kAuthorityMagic) return malformed;
    if (!std::ranges::equal(sha256(content).view(), file.last(Guid::kBytes))) {
        return Error{Errc::corrupt, "the file of the authority; take another copy"};
    }
    const auto name = in.text(kMaxNameBytes);
    const SigningKey key{in.array<32>()};
    if (!in.complete()) return malformed;
    if (network_id(key.public_key(), name) != network()) {
        return Error{Errc::not_a_member,
                     "the file is of the authority of network '" + name + "', this machine is in '" + name_ + "'"};
    }
    if (issuer_) return ok();
    issuer_.emplace(Issuer{key, 1, {}});
    const auto saved = save_issuer();
    if (!saved) issuer_.reset();
    return saved;
}

Result<bool> NetworkDirectory::adopt(const Policy& policy) {
    if (policy.version <= policy_.version) return false;
    BASE_CHECK(verify(policy, network(), authority_));
    BASE_CHECK(save(*disk_, kPolicyFile, policy.encode()));
    policy_ = policy;
    return true;
}

Result<bool> NetworkDirectory::adopt(const Roster& roster) {
    if (roster.version <= roster_.version) return false;
    BASE_CHECK(verify(roster, network(), authority_));
    BASE_CHECK(save(*disk_, kRosterFile, roster.encode()));
    roster_ = roster;
    return true;
}

Result<Policy> NetworkDirectory::change_policy(Policy policy) {
    if (!acts_here()) return not_here("cannot change the network's policy");
    policy.network = network();
    policy.version = policy_.version + 1;
    BASE_CHECK(policy.check());
    policy.signature = issuer_->key.sign("pelago policy", policy.body());
    BASE_CHECK(adopt(policy));
    return policy;
}

// Spent ones are kept until they expire, so that their replay is told from an unknown token; then forgotten.
void NetworkDirectory::forget_expired(std::int64_t wall_ns) {
    std::erase_if(issuer_->invitations, [wall_ns](const Invitation& old) {
        return wall_ns > old.not_after_ns && wall_ns - old.not_after_ns > kClockSlackNs;
    });
}

Result<Token> NetworkDirectory::invite(Rng& rng, const std::string& endpoint, std::int64_t wall_ns,
                                       std::int64_t not_after_ns) {
    if (!acts_here()) return not_here("cannot invite");
    if (endpoint.empty() || endpoint.size() > kMaxEndpointBytes) {
        return Error{Errc::bad_argument, "the node has no address that others can dial; start it with --listen"};
    }
    forget_expired(wall_ns);
    if (issuer_->invitations.size() >= kMaxInvitations) {
        return Error{Errc::busy, "10,000 invitations are open; wait until some expire"};
    }
    Token token;
    token.network = network();
    token.authority = authority_;
    token.issuer = certificate_.id();
    token.issuer_endpoint = endpoint;
    token.secret = rng.secret();
    token.not_after_ns = not_after_ns;
    Invitation invitation;
    invitation.secret_hash = sha256(token.secret);
    invitation.not_after_ns = not_after_ns;
    issuer_->invitations.push_back(std::move(invitation));
    if (const auto saved = save_issuer(); !saved) {
        issuer_->invitations.pop_back();
        return saved.error();
    }
    return token;
}

Result<NetworkDirectory::Admission> NetworkDirectory::admit(Rng& rng, const PublicKey& joiner, const Key& token_secret,
                                                            const Wish& wish, std::int64_t wall_ns) {
    if (!acts_here()) return not_here("this node admits nobody");
    if (wish.failure_domain.size() > kMaxFailureDomainBytes) {
        return Error{Errc::bad_argument, "a failure domain has at most 64 bytes"};
    }
    const auto hash = sha256(token_secret);
    auto& invitations = issuer_->invitations;
    const auto found = std::ranges::find(invitations, hash, &Invitation::secret_hash);
    if (found == invitations.end()) return Error{Errc::denied, "the join token is not one of this node's"};
    if (found->spent_by && *found->spent_by != joiner) {
        return Error{Errc::denied, "the join token was used already; ask for another"};
    }
    if (!found->spent_by) {
        if (wall_ns > found->not_after_ns) return Error{Errc::denied, "the join token has expired; ask for another"};
        // The salt is drawn after the key is known: nobody chooses where on the ring it sits.
        const auto certificate = issue(joiner, rng.secret(), wish, wall_ns);
        found->spent_by = joiner;
        found->certificate = certificate.encode();
        if (const auto saved = save_issuer(); !saved) {
            found->spent_by.reset();  // nobody was told: the token stays good, in memory as on disk
            found->certificate.clear();
            return saved.error();
        }
    }
    Admission admission;
    BASE_TRY(admission.certificate, Certificate::decode(found->certificate));
    BASE_CHECK(enroll(admission.certificate));
    forget_expired(wall_ns);
    admission.policy = policy_;
    admission.roster = roster_;
    admission.network_name = name_;
    return admission;
}

Result<void> NetworkDirectory::remember_seeds(std::vector<Address> seeds) {
    if (seeds.size() > kMaxSeeds) seeds.resize(kMaxSeeds);
    if (seeds == seeds_ || seeds.empty()) return ok();
    Writer out;
    out.varint(seeds.size());
    for (const auto& seed : seeds) out.guid(seed.id).text(seed.endpoint);
    seeds_ = std::move(seeds);
    return save(*disk_, kSeedsFile, out.take());
}

Result<bool> NetworkDirectory::remember_seed(const Address& seed) {
    if (std::ranges::find(seeds_, seed) != seeds_.end()) return false;
    auto seeds = seeds_;
    std::erase_if(seeds, [&](const Address& old) { return old.id == seed.id; });
    seeds.insert(seeds.begin(), seed);
    BASE_CHECK(remember_seeds(std::move(seeds)));
    return true;
}

}  // namespace base
