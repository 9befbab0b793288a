// What a node remembers of the network it belongs to: its key and certificate, the newest policy and roster, and, on
// the node that created the network, the authority's key and the tokens given out. Kept under "network/" of the node's
// Disk.
//
// Formats: docs/formats/membership.md. Calls block (they write files); not thread safe: one owner.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/disk.hpp"
#include "base/membership.hpp"
#include "base/rng.hpp"
#include "base/transport.hpp"

namespace base {

class NetworkDirectory {
  public:
    /// What a joiner asks for; the issuer may clamp it.
    struct Wish {
        Role role = Role::storage;
        std::string failure_domain;
        std::uint64_t capacity_bytes = 0;
    };
    /// What an issuer hands to a joiner.
    struct Admission {
        Certificate certificate;
        Policy policy;
        Roster roster;
        std::string network_name;
    };

    /// Errc::not_found if no network was ever created or joined here; Errc::corrupt naming the file if one is damaged.
    [[nodiscard]] static Result<NetworkDirectory> open(Disk& disk);
    /// A network of which this node is the authority, the issuer and the first member. Errc::exists if there is one.
    /// `key` and `salt` are the node's: it may have kept blocks under that id alone before.
    [[nodiscard]] static Result<NetworkDirectory> create(Disk& disk, Rng& rng, std::string_view name,
                                                         const SigningKey& key, const Key& salt, const Wish& wish,
                                                         Policy policy, std::int64_t wall_ns);
    /// The key to join with; made and synced on first use, so that a join which broke off can be repeated.
    [[nodiscard]] static Result<SigningKey> prepare_join(Disk& disk, Rng& rng);
    /// Checks everything against the token (network, authority, our key) and keeps it. Errc::not_a_member or bad_format
    /// if the issuer sent something else; then nothing is kept.
    [[nodiscard]] static Result<NetworkDirectory> finish_join(Disk& disk, const Token& token,
                                                              const Admission& admission, const SigningKey& key,
                                                              std::int64_t wall_ns);

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] const Guid& network() const { return certificate_.network; }
    [[nodiscard]] const PublicKey& authority() const { return authority_; }
    [[nodiscard]] const SigningKey& key() const { return key_; }
    [[nodiscard]] const Certificate& certificate() const { return certificate_; }
    [[nodiscard]] const Policy& policy() const { return policy_; }
    [[nodiscard]] const Roster& roster() const { return roster_; }
    /// The authority's key is here.
    [[nodiscard]] bool is_authority() const { return issuer_.has_value(); }
    /// And this is the member where it signs.
    [[nodiscard]] bool acts_here() const { return is_authority() && roster_.seat == certificate_.id(); }
    [[nodiscard]] bool was_removed() const { return roster_.removed(certificate_.id()); }

    /// Takes a newer policy or roster that verifies, durably; false (and nothing changed) if it is not newer.
    /// Errc::bad_signature or bad_argument if it does not verify.
    Result<bool> adopt(const Policy& policy);
    Result<bool> adopt(const Roster& roster);

    /// Where the authority acts only, else Errc::denied (acts_here()).
    Result<Policy> change_policy(Policy policy);  ///< signs it as the next version
    Result<Token> invite(Rng& rng, const std::string& endpoint, std::int64_t wall_ns, std::int64_t not_after_ns);
    /// Spends the token durably, then issues. The same key may repeat its request and gets the same certificate; a
    /// spent token in another hand, an unknown and an expired one are Errc::denied.
    Result<Admission> admit(Rng& rng, const PublicKey& joiner, const Key& token_secret, const Wish& wish,
                            std::int64_t wall_ns);
    /// Says for good that a member counts no more. Where the authority's key is, this may also be the member where it
    /// acts: then it acts here from now on. Errc::not_found: no such member. Once more is no error.
    Result<void> remove(const NodeId& node);

    /// Marks a storage member as draining, or takes that back. Where the authority acts only. Errc::denied, naming the
    /// remedy, if fewer members than min_copies would be left to hold copies; Errc::not_found: no such member.
    Result<void> drain(const NodeId& node, bool on);

    /// The roster that moves the seat to this node, for the member where the authority acts now. It is in force, and
    /// to be adopted, once that member has taken it. Errc::denied without the authority's key.
    [[nodiscard]] Result<Roster> propose_seat() const;
    /// The other side of that: lets the seat go, durably. False if it is not here, or if `next` is not the very next
    /// version with the same members.
    Result<bool> hand_over(const Roster& next);
    /// What a second machine needs to act for the network one day: as secret as the authority itself.
    [[nodiscard]] Result<Bytes> export_authority() const;
    /// Errc::bad_format; Errc::not_a_member if it is of another network. The seat stays where it is.
    Result<void> import_authority(ByteView file);

    /// Where members were last seen, newest first, at most 64: where a restarted node looks for its ring.
    [[nodiscard]] const std::vector<Address>& seeds() const { return seeds_; }
    Result<void> remember_seeds(std::vector<Address> seeds);
    /// A member is there now: first of all, and nowhere else. False if that was known.
    Result<bool> remember_seed(const Address& seed);

  private:
    struct Invitation {
        Guid secret_hash;
        std::int64_t not_after_ns = 0;
        std::optional<PublicKey> spent_by;
        Bytes certificate;  // what it was spent for; empty before
    };
    struct Issuer {
        SigningKey key;
        std::uint64_t next_serial = 1;
        std::vector<Invitation> invitations;
    };

    NetworkDirectory(Disk& disk, SigningKey key) : disk_{&disk}, key_{key} {}
    Certificate issue(const PublicKey& key, const Key& salt, const Wish& wish, std::int64_t wall_ns);
    Result<void> enroll(const Certificate& certificate);
    [[nodiscard]] Error not_here(const char* what) const;
    [[nodiscard]] Result<void> take_over();
    void sign(Roster& roster) const;
    Result<void> keep(Roster roster);
    void forget_expired(std::int64_t wall_ns);
    Result<void> save_issuer();
    Result<void> save_identity();

    Disk* disk_;
    std::string name_;
    PublicKey authority_{};
    SigningKey key_;
    Certificate certificate_;
    Policy policy_;
    Roster roster_;
    std::optional<Issuer> issuer_;
    std::vector<Address> seeds_;
};

}  // namespace base
