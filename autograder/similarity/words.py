"""Misspelt words: what few write by chance, and who copies copies too.

A word is misspelt if nothing known is spelled so, and something known is but for one letter. The known words are the
scaffold's and a list here: a dictionary that grows from one version to the next would give the same code other
fingerprints.
"""

import functools
import re
from collections.abc import Callable

LEAST_LENGTH, MOST_LENGTH = 5, 24
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_ENDINGS = ("s", "es", "ed", "d", "ing", "ly", "al", "ally", "ion", "ions", "able", "ment")

# What is written about networks and training, and what else comments are made of.
KNOWN = frozenset(
    """
    about above absolute accept access accord account accumulate accuracy achieve activate activation active actual
    actually adapt added addition additional adjust adversarial affine after again against agree algorithm align
    almost alone along alpha already alright although always amount analytic another answer anyway apart apply
    approach appropriate approximate around arrange array artificial aside assign assignment assume attach attention
    attribute augment author autograd automatic available average avoid backprop backpropagate backpropagation
    backward balance based basic batch batches because become before begin beginning behavior behaviour behind being
    below benefit bernoulli better between beyond binary block border borrow bottom bound branch bring broadcast
    broken buffer build built cache calculate calculation called cannot careful carry cause center centre chain
    chance change channel channels check choice choose chosen chunk class classify clause clean clear client close
    closed closely coding collapse collect column combine comes coming comment common compare comparison compatible
    compile complete complex component compress computation compute concatenate condition conditional configure
    confuse connect consider consistent constant construct contain content context contiguous continue continuous
    contribution control convenient converge convert convolution convolutional copied copies copy correct correctly
    correspond correspondence cosine count course covariance cover create creating creation criterion cross cuda
    current currently curve cycle dataset debug decay decide decision decode decoder decoding deconvolution decrease
    deeper default define defined definition degree delete delta denote dense density depend derivative derive
    describe description design desire desired detach detail determine deterministic deviation device diagonal
    dictionary difference different difficult digit dimension dimensional direct direction directly discriminate
    discriminator discuss display distance distinguish distribution diverge divergence divide division document
    doesn don't double download downsample draw drawn dropout during dynamic early easier easily effect efficient
    either element elementwise empty enable encode encoder encoding encourage ending enough ensure entropy entry
    epoch epochs epsilon equal equation equivalent error especially essential estimate estimation evaluate
    evaluation every everything exact exactly example except exclude execute exercise exist expand expect
    expectation expected explain explicit exponential expression extend extra extract factor fails false faster
    feature features feedback fetch figure filter final finally finish finite first flag flatten float floating
    follow following force forget formula forward frechet freeze frequency fresh function further future gamma
    gather gauss gaussian general generate generated generation generative generator getting given global gradient
    gradients graph greater ground group guarantee guess halve handed handle happen harder having header hidden
    higher history homework however hyperparameter ideal identical identity ignore image images implement
    implementation implicit import important impossible improve inception include increase indeed independent index
    indicate indices individual inference infinite infinity information initial initialise initialize inner input
    inputs inside inspect install instance instead integer integral intermediate internal interpolate interpolation
    interval inverse iterate iteration itself judge keeping kernel kullback label labels lambda large larger latent
    later latest layer layers leading leaky learn learned learning least leave lecture leibler length letter level
    library light likelihood limit linear little local locate logarithm logits logvar longer looking loops loses
    losses lower machine magnitude major making manual manually mapping marginal match matrix maximise maximize
    maximum meaning measure memory merge method middle might minimax minimise minimize minimum minus minutes missing
    mistake mixture model modify module moment momentum monitor multiple multiplication multiply natural nearest
    necessary needed negative network neural never noise noisy normal normalisation normalise normalization
    normalize notation note nothing notice number numerical object objective observe obtain occur offset often
    operation optimal optimise optimiser optimization optimize optimizer option order original other otherwise outer
    output outputs outside overall overfit overlap override package padding paper parallel parameter parameters
    partial particular passed passes penalty perform performance permute picture piece pixel pixels place plain
    please point positive possible posterior potential power practice precise precision predict prediction prepare
    present pretend pretrained prevent previous previously principle print prior probability probably problem
    procedure process produce product program progress project projection properly property provide purpose push
    python quality quantity question quick quickly random randomly range rather ratio reach ready real really reason
    receive recommend reconstruct reconstruction record recover rectified recurrent reduce reduction redundant refer
    reference reflect regular regularise regularization regularize relation relative remain remember remove reparam
    reparameterisation reparameterise reparameterised reparameterization reparameterize reparameterized
    reparametrise reparametrization reparametrize repeat replace report represent representation require required
    reset reshape residual resize resolution respect respectively response result resulting results retain return
    reverse right round running sample samples sampling saturate saturating scalar scale scaling scheduler score
    second section select separate separately sequence sequential series setting several shape shared shares shift
    should shown shrink shuffle sigma sigmoid signal similar simple simply since single size slice slide slower
    small smaller smooth softmax softplus solution solve something sometimes source space spatial special specific
    specify split spring square squared stable stack stage standard start state statement static statistic
    stochastic storage store straight stride string strong structure student subset subtract successive sufficient
    suggest suitable summary support suppose surely switch symbol symmetric synthetic system table taken target
    teacher technique temporary tensor tensorboard tensors terms testing their themselves theory there therefore
    these thing think those though thought three threshold through throughout times together total towards track
    train trained trainer training transform transpose transposed treat trick trigger truncate trying tuple turned
    twice typical under uniform unique units unknown unless until unused update updated upper upsample upsampling
    useful using usual usually valid validate value values vanish variable variance variation variational various
    vector verbose verify version vertical virtual visual visualise visualize volume wasserstein weight weights
    weird where whether which while whole whose width wise within without wonder worked worker would wrapper write
    written wrong yield zeros
    """.split()  # noqa: SIM905  # a list of 900 strings would be read by nobody
)


def words_of(name: str) -> list[str]:
    """The words that a name or a comment is made of, in lower case: "recon_lossFn" has recon, loss and fn."""
    return [part.lower() for part in _PART.findall(name)]


def is_misspelt(word: str, scaffold: frozenset[str]) -> bool:
    """Whether a word, in lower case, is nearly a known one and none itself.

    Args:
        word: letters only.
        scaffold: the scaffold's words, in lower case.
    """
    if not LEAST_LENGTH <= len(word) <= MOST_LENGTH or not word.isascii() or word in scaffold or _is_known(word):
        return False
    return _is_nearly_known(word) or _is_near(word, scaffold, scaffold.__contains__)


@functools.lru_cache(maxsize=50_000)
def _is_known(word: str) -> bool:
    if word in KNOWN:
        return True
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and (stem in KNOWN or stem + "e" in KNOWN or (stem[-1:] == stem[-2:-1] and stem[:-1] in KNOWN)):
            return True
    return False


@functools.lru_cache(maxsize=50_000)
def _is_nearly_known(word: str) -> bool:
    return _is_near(word, KNOWN, _is_known)


def _is_near(word: str, known: frozenset[str], is_known: Callable[[str], bool]) -> bool:
    """Whether one letter is wrong, missing or too many, or two are swapped; at the end it may be grammar."""
    swapped = (word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(1, len(word) - 1))
    extra = (word[:at] + word[at + 1 :] for at in range(1, len(word) - 1))
    if any(map(is_known, (*swapped, *extra))):
        return True
    gaps = _with_gaps(known)
    wrong = (word[:at] + "?" + word[at + 1 :] for at in range(1, len(word) - 1))
    missing = (word[:at] + "?" + word[at:] for at in range(1, len(word)))
    return any(one in gaps for one in (*wrong, *missing))


@functools.lru_cache(maxsize=16)
def _with_gaps(known: frozenset[str]) -> frozenset[str]:
    """Every word with each of its letters, but for the first and the last, left open."""
    words = (word for word in known if len(word) >= LEAST_LENGTH)
    return frozenset(word[:at] + "?" + word[at + 1 :] for word in words for at in range(1, len(word) - 1))
