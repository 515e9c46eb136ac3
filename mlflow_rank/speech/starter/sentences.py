"""Sentences for the starter corpus: a small template grammar for each language, so no text is downloaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Grammar:
    """Phrase lists whose combinations are sentences: who, does what, to what, where, when."""

    subjects: tuple[str, ...]
    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    places: tuple[str, ...]
    times: tuple[str, ...]

    def sentence(self, rng: np.random.Generator) -> str:
        """Return one sentence; a place comes in two of three, a time in one of two, so lengths vary."""
        parts = [_pick(rng, self.subjects), _pick(rng, self.verbs), _pick(rng, self.objects)]
        if rng.random() < 2 / 3:
            parts.append(_pick(rng, self.places))
        if rng.random() < 1 / 2:
            parts.append(_pick(rng, self.times))
        return " ".join(parts) + "."


def _pick(rng: np.random.Generator, phrases: tuple[str, ...]) -> str:
    return phrases[int(rng.integers(len(phrases)))]


def _grammar(subjects: str, verbs: str, objects: str, places: str, times: str) -> Grammar:
    return Grammar(*(tuple(text.split("; ")) for text in (subjects, verbs, objects, places, times)))


KEYWORDS = (
    "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go",
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
)  # fmt: skip  # the ten commands and ten digits that keyword-spotting corpora share

GRAMMARS = {
    "en-us": _grammar(
        "the old sailor; my younger sister; a tall stranger; the village doctor; our new teacher; the quiet engineer; "
        "every careful reader; the hungry fox; her favourite uncle; a group of students; the night nurse; Thomas; "
        "the judge; a brave pilot; the cheerful baker; this patient gardener; nobody; the chief of police; "
        "a young musician; the shy photographer; George; the weather office; an angry customer; the whole family",
        "watches; is looking for; carries; has forgotten; usually buys; never trusts; wants to change; has just found; "
        "describes; enjoys; will choose; measures; should repair; protects; is thinking about; throws away; borrows; "
        "examines; cannot reach; quickly draws",
        "a heavy wooden box; the yellow bicycle; three fresh oranges; the broken window; a cup of tea; some strange "
        "music; the longest bridge; an empty notebook; the measuring device; a huge shadow; fourteen chairs; the "
        "other side; a piece of jewellery; the usual path; warm clothing; the first chapter; a thousand birds; "
        "their birthday cake; a cheap telephone; the voice of a child; good advice; the northern garden; a bag of "
        "rice; the judge's house",
        "near the river; behind the church; in the kitchen; at the railway station; under a large oak; on the southern "
        "shore; beside the museum; across the valley; outside the theatre; between two mountains; in a dusty attic; "
        "along the frozen lake; above the workshop; inside the tunnel",
        "before sunrise; on Thursday; every evening; after the storm; since last January; at half past five; in early "
        "spring; without any warning; once a year; during the journey; these days; until midnight",
    ),
    "de": _grammar(
        "der alte Fischer; meine kleine Schwester; ein freundlicher Nachbar; die neue Lehrerin; unser Hausarzt; "
        "der müde Schaffner; jede aufmerksame Leserin; der schlaue Fuchs; ihr Großvater; eine Gruppe Kinder; "
        "die Bäckerin; Jürgen; der strenge Richter; ein junger Künstler; die fröhliche Köchin; niemand; "
        "der Zöllner; die ganze Familie",
        "sucht; findet; beobachtet; verkauft; beschreibt; trägt; vergisst; reinigt; zeichnet; bewundert; holt; "
        "schützt; wechselt; überprüft; verschenkt; braucht",
        "einen schweren Koffer; das gelbe Fahrrad; drei frische Brötchen; die zerbrochene Scheibe; eine Tasse Kaffee; "
        "die längste Brücke; ein leeres Heft; den großen Schlüssel; vierzehn Stühle; die andere Seite; warme Kleidung; "
        "das erste Kapitel; tausend Vögel; einen süßen Kuchen; das billige Werkzeug; ein Stück Käse",
        "am Fluss; hinter der Kirche; in der Küche; auf dem Bahnhof; unter der Eiche; neben dem Museum; "
        "jenseits des Tals; vor dem Theater; zwischen zwei Bergen; auf dem staubigen Dachboden; im Tunnel",
        "vor Sonnenaufgang; am Donnerstag; jeden Abend; nach dem Gewitter; seit Januar; um halb sechs; im Frühling; "
        "ohne Warnung; einmal im Jahr; bis Mitternacht",
    ),
    "es": _grammar(
        "el viejo pescador; mi hermana menor; un vecino amable; la nueva maestra; nuestro médico; el guardia cansado; "
        "cada lector atento; el zorro astuto; su abuelo; un grupo de niños; la panadera; Jorge; el juez severo; "
        "una joven artista; la cocinera alegre; nadie; el ingeniero; toda la familia",
        "busca; encuentra; observa; vende; describe; lleva; olvida; limpia; dibuja; admira; recoge; protege; cambia; "
        "revisa; regala; necesita",
        "una caja pesada; la bicicleta amarilla; tres naranjas frescas; la ventana rota; una taza de té; "
        "el puente más largo; un cuaderno vacío; la llave grande; catorce sillas; el otro lado; ropa de abrigo; "
        "el primer capítulo; mil pájaros; un pastel dulce; la herramienta barata; un trozo de queso",
        "junto al río; detrás de la iglesia; en la cocina; en la estación; bajo un roble; al lado del museo; "
        "al otro lado del valle; frente al teatro; entre dos montañas; en el desván; dentro del túnel",
        "antes del amanecer; el jueves; cada noche; después de la tormenta; desde enero; a las cinco y media; "
        "en primavera; sin aviso; una vez al año; hasta medianoche",
    ),
    "fr": _grammar(
        "le vieux pêcheur; ma petite sœur; un voisin aimable; la nouvelle maîtresse; notre médecin; "
        "le gardien fatigué; chaque lecteur attentif; le renard rusé; son grand-père; un groupe d'enfants; "
        "la boulangère; "
        "Georges; le juge sévère; une jeune artiste; la cuisinière joyeuse; personne ici; l'ingénieur; "
        "toute la famille",
        "cherche; trouve; observe; vend; décrit; porte; oublie; nettoie; dessine; admire; ramasse; protège; change; "
        "vérifie; donne; regarde",
        "une lourde caisse; le vélo jaune; trois oranges fraîches; la fenêtre cassée; une tasse de thé; "
        "le pont le plus long; un cahier vide; la grande clé; quatorze chaises; l'autre côté; des vêtements chauds; "
        "le premier chapitre; mille oiseaux; un gâteau sucré; l'outil bon marché; un morceau de fromage",
        "près du fleuve; derrière l'église; dans la cuisine; à la gare; sous un chêne; à côté du musée; "
        "de l'autre côté de la vallée; devant le théâtre; entre deux montagnes; au grenier; dans le tunnel",
        "avant l'aube; le jeudi; chaque soir; après l'orage; depuis janvier; à cinq heures et demie; au printemps; "
        "sans prévenir; une fois par an; jusqu'à minuit",
    ),
    "it": _grammar(
        "il vecchio pescatore; mia sorella minore; un vicino gentile; la nuova maestra; il nostro medico; "
        "la guardia stanca; ogni lettore attento; la volpe furba; suo nonno; un gruppo di bambini; la fornaia; "
        "Giorgio; il giudice severo; una giovane artista; la cuoca allegra; nessuno; l'ingegnere; tutta la famiglia",
        "cerca; trova; osserva; vende; descrive; porta; dimentica; pulisce; disegna; ammira; raccoglie; protegge; "
        "cambia; controlla; regala; sceglie",
        "una cassa pesante; la bicicletta gialla; tre arance fresche; la finestra rotta; una tazza di tè; "
        "il ponte più lungo; un quaderno vuoto; la chiave grande; quattordici sedie; l'altro lato; vestiti caldi; "
        "il primo capitolo; mille uccelli; un dolce squisito; l'attrezzo economico; un pezzo di formaggio",
        "vicino al fiume; dietro la chiesa; in cucina; alla stazione; sotto una quercia; accanto al museo; "
        "oltre la valle; davanti al teatro; fra due montagne; in soffitta; dentro la galleria",
        "prima dell'alba; giovedì; ogni sera; dopo il temporale; da gennaio; alle cinque e mezza; in primavera; "
        "senza avviso; una volta all'anno; fino a mezzanotte",
    ),
    "pt-br": _grammar(
        "o velho pescador; minha irmã mais nova; um vizinho gentil; a nova professora; nosso médico; o guarda cansado; "
        "cada leitor atento; a raposa esperta; seu avô; um grupo de crianças; a padeira; Jorge; o juiz severo; "
        "uma jovem artista; a cozinheira alegre; ninguém; o engenheiro; toda a família",
        "procura; encontra; observa; vende; descreve; leva; esquece; limpa; desenha; admira; recolhe; protege; troca; "
        "verifica; oferece; escolhe",
        "uma caixa pesada; a bicicleta amarela; três laranjas frescas; a janela quebrada; uma xícara de chá; "
        "a ponte mais longa; um caderno vazio; a chave grande; quatorze cadeiras; o outro lado; roupas quentes; "
        "o primeiro capítulo; mil pássaros; um bolo doce; a ferramenta barata; um pedaço de queijo",
        "perto do rio; atrás da igreja; na cozinha; na estação; debaixo de um carvalho; ao lado do museu; "
        "do outro lado do vale; em frente ao teatro; entre duas montanhas; no sótão; dentro do túnel",
        "antes do amanhecer; na quinta-feira; toda noite; depois da tempestade; desde janeiro; às cinco e meia; "
        "na primavera; sem aviso; uma vez por ano; até meia-noite",
    ),
}
